//! `gateway export`, `gateway import FILE`, `gateway diff FILE` and `gateway apply FILE`: the store as files.

use super::{End, Global, client, output};
use crate::control::types::{ObjectsChanged, ObjectsRequest, Problem};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// As large as an answer may be.
const FILE_BYTES_MAX: u64 = 512 << 20;

#[derive(clap::Args)]
pub(crate) struct Export {
    /// Where to write it, readable by its owner alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With the secrets of access keys, the values of API keys and private keys: whoever reads the file can sign
    #[arg(long)]
    secrets: bool,
}

#[derive(clap::Args)]
pub(crate) struct Import {
    /// What `gateway export` wrote; - is standard input
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

#[derive(clap::Args)]
pub(crate) struct Diff {
    /// An OpenAPI document, or what `gateway export` wrote; - is standard input
    file: PathBuf,
    #[command(flatten)]
    about: About,
    /// End with exit code 1 if something differs
    #[arg(long)]
    exit_code: bool,
}

/// Which API an OpenAPI document is about.
#[derive(clap::Args)]
pub(crate) struct About {
    /// Name or id of the API, or API.STAGE [default: the API that is called as the document's title, or a new one]
    #[arg(long, value_name = "API", requires = "file")]
    api: Option<String>,
    /// The stage that is deployed to [default: the one in the document's base path]
    #[arg(long, requires = "file")]
    stage: Option<String>,
    /// Where the API is [default: the node's region]
    #[arg(long, requires = "file")]
    region: Option<String>,
}

impl Export {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        if self.secrets && self.output.is_none() && std::io::stdout().is_terminal() {
            let what = "secrets are not shown on a terminal";
            return Err(Problem::host(what, "write them into a file: --output FILE"));
        }
        let path = if self.secrets { "/objects/secrets" } else { "/objects" };
        let document: serde_json::Value = client::get(global, path)?;
        let text = format!("{document:#}\n");
        let Some(file) = &self.output else {
            output::print(&text);
            return Ok(End::Done);
        };
        write(file, &text).map_err(|error| {
            Problem::host(format!("{} cannot be written: {error}", file.display()), "name another file")
        })?;
        let objects = document["objects"].as_object().map_or(0, serde_json::Map::len);
        if global.json {
            let told = serde_json::json!({ "file": file, "objects": objects, "secrets": self.secrets });
            output::json(&told)?;
        } else {
            let secrets = if self.secrets { "with their secrets" } else { "without their secrets" };
            let (objects, are) = (output::count(objects, "object"), if objects == 1 { "is" } else { "are" });
            output::print(&format!("{objects}, {secrets}, {are} in {}\n", file.display()));
        }
        Ok(End::Done)
    }
}

/// Whole or not at all; nobody else reads it.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = file.with_file_name(name);
    let written = (|| {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&new, file)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

impl Import {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let request = ObjectsRequest {
            text: read(&self.file)?,
            file: Some(name(&self.file)),
            whole: true,
            ..ObjectsRequest::default()
        };
        change(global, request, self.plan, self.yes)
    }
}

impl Diff {
    pub(crate) fn run(&self, global: &Global) -> Result<End, Problem> {
        let planned = ask(global, &ObjectsRequest { plan: true, ..request(&self.file, &self.about)? })?;
        show(global, &planned)?;
        Ok(if self.exit_code && planned.differs { End::Refused } else { End::Done })
    }
}

/// `gateway apply FILE`
pub(crate) fn apply(
    global: &Global,
    file: &Path,
    about: &About,
    (plan, yes): (bool, bool),
) -> Result<End, Problem> {
    change(global, request(file, about)?, plan, yes)
}

fn request(file: &Path, about: &About) -> Result<ObjectsRequest, Problem> {
    Ok(ObjectsRequest {
        text: read(file)?,
        file: Some(name(file)),
        api: about.api.clone(),
        stage: about.stage.clone(),
        region: about.region.clone(),
        ..ObjectsRequest::default()
    })
}

fn name(file: &Path) -> PathBuf {
    if file == Path::new("-") { "standard input".into() } else { file.to_path_buf() }
}

fn read(file: &Path) -> Result<String, Problem> {
    let name = name(file);
    let name = name.display();
    let failed = |error: std::io::Error| {
        Problem::host(format!("{name} cannot be read: {error}"), "name an OpenAPI document or an export")
    };
    let source: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Problem::host(format!("{name} has more than {FILE_BYTES_MAX} bytes"), "split it"));
    }
    String::from_utf8(bytes)
        .map_err(|_| Problem::host(format!("{name} is not UTF-8 text"), "save it as UTF-8"))
}

fn ask(global: &Global, request: &ObjectsRequest) -> Result<ObjectsChanged, Problem> {
    client::post_change(global, "/objects", request, request.plan)
}

/// Shows the plan, then does exactly that: with --yes at once, on a terminal after a question, else not at all.
fn change(global: &Global, request: ObjectsRequest, plan: bool, yes: bool) -> Result<End, Problem> {
    let planned = ask(global, &ObjectsRequest { plan: true, ..request.clone() })?;
    if plan || !planned.differs {
        return show(global, &planned).map(|()| End::Done);
    }
    if !yes {
        output::say(&text(&planned));
        if let Some(end) = output::unless_confirmed("Do it?", global.json) {
            return Ok(end);
        }
    } else if !global.json {
        output::print(&text(&planned));
    }
    let done = ask(global, &ObjectsRequest { plan: false, digest: Some(planned.digest), ..request })?;
    match global.json {
        true => output::json(&done)?,
        false => {
            output::say(&output::findings(&done.in_force));
            output::print("done: the data plane goes by it\n");
        }
    }
    Ok(End::Done)
}

fn show(global: &Global, changed: &ObjectsChanged) -> Result<(), Problem> {
    if global.json {
        return output::json(changed);
    }
    output::print(&text(changed));
    Ok(())
}

/// A line with `!` refuses or lets in somebody.
fn text(changed: &ObjectsChanged) -> String {
    let mut text: String = changed.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
    if !changed.differs {
        return text + &format!("{}: nothing differs\n", changed.target);
    }
    text.push_str(&format!("{}:\n", changed.target));
    let mark = |danger: bool| if danger { "!" } else { " " };
    let row = |change: &crate::control::types::ObjectChange| {
        vec![format!("{} {}", mark(change.danger), change.subject), change.what.clone()]
    };
    let rows: Vec<Vec<String>> = changed.changes.iter().map(row).collect();
    text.push_str(&output::table(&rows));
    if changed.changes.iter().any(|change| change.danger) {
        text.push_str(
            "  ! removes or opens something: somebody may be refused, or let in, who was not before\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::types::ObjectChange;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_plan_marks_what_is_dangerous() {
        let line = |subject: &str, what: &str, danger| ObjectChange {
            subject: subject.into(),
            what: what.into(),
            danger,
        };
        let changed = ObjectsChanged {
            target: "api pets (a1b2c3d4e5), stage prod".into(),
            differs: true,
            changes: vec![line("GET /pets", "is new", false), line("POST /pets", "is removed", true)],
            warnings: vec!["beware".into()],
            ..ObjectsChanged::default()
        };
        let expected = "warning: beware\napi pets (a1b2c3d4e5), stage prod:\n  GET /pets   is new\n\
                        ! POST /pets  is removed\n  \
                        ! removes or opens something: somebody may be refused, or let in, who was not before\n";
        assert_eq!(text(&changed), expected);
        let same =
            ObjectsChanged { target: "the whole store (3 objects)".into(), ..ObjectsChanged::default() };
        assert_eq!(text(&same), "the whole store (3 objects): nothing differs\n");
    }

    #[test]
    fn an_export_is_its_owners_alone_and_replaces_what_was_there() {
        let folder = std::env::temp_dir().join(format!("gateway-export-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("all.json");
        std::fs::write(&file, "old").unwrap();
        write(&file, "new\n").unwrap();
        assert_eq!(read(&file).unwrap(), "new\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(&folder.join("gone/x"), "x").is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::write(&file, [0xff]).unwrap();
        assert!(read(&file).unwrap_err().what.contains("is not UTF-8"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
