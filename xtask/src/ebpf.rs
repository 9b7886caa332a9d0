//! `cargo xtask ebpf`: compiles the XDP program into `gateway-ebpf/object`, or proves that the object is its sources'.
//!
//! The object is kept in the repository because its toolchain is not a newcomer's. Beside it stand the toolchain that
//! made it (`TOOLCHAIN`) and the digests of all that it was made from (`SHA256SUMS`, as `sha256sum --check` reads it).

use crate::shell;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OBJECT: &str = "object/gateway-ebpf.o";
const TOOLCHAIN: &str = "object/TOOLCHAIN";
const SUMS: &str = "object/SHA256SUMS";
const TARGET: &str = "bpfel-unknown-none";
const BINARY: &str = "gateway-ebpf";
const INSTALL: &str = "scripts/install-ebpf-toolchain.sh installs the toolchain (Debian)";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Change nothing; fail when the object in the repository is not its sources'
    #[arg(long)]
    check: bool,
    /// Build the object that logs what it drops, under target/; `cargo xtask run --xdp-log` runs it
    #[arg(long, conflicts_with = "check")]
    log: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let crate_folder = root().join("gateway-ebpf");
    match options {
        Options { check: true, .. } => check(&crate_folder),
        Options { log: true, .. } => build_logging().map(drop),
        _ => rebuild(&crate_folder),
    }
}

/// Gives the path of the object.
pub(crate) fn build_logging() -> Result<PathBuf> {
    let object = find()?.build(&root(), &root().join("gateway-ebpf/target"), "log")?;
    let path = shell::target().join("gateway-ebpf-log.o");
    std::fs::create_dir_all(shell::target())?;
    std::fs::write(&path, &object).with_context(|| path.display().to_string())?;
    println!("ebpf: {} bytes in {}", object.len(), path.display());
    Ok(path)
}

fn find() -> Result<Toolchain> {
    Toolchain::find().with_context(|| format!("no eBPF toolchain: {INSTALL}"))
}

fn rebuild(crate_folder: &Path) -> Result<()> {
    let toolchain = find()?;
    let object = toolchain.build(&root(), &crate_folder.join("target"), "program")?;
    std::fs::create_dir_all(crate_folder.join("object"))?;
    std::fs::write(crate_folder.join(OBJECT), &object)?;
    std::fs::write(crate_folder.join(TOOLCHAIN), toolchain.describe()?)?;
    std::fs::write(crate_folder.join(SUMS), sums(crate_folder)?)?;
    println!("ebpf: {} bytes in gateway-ebpf/{OBJECT}", object.len());
    Ok(())
}

fn check(crate_folder: &Path) -> Result<()> {
    let recorded =
        std::fs::read_to_string(crate_folder.join(SUMS)).context("gateway-ebpf/object/SHA256SUMS")?;
    let differences = differences(&recorded, &sums(crate_folder)?);
    ensure!(
        differences.is_empty(),
        "the eBPF object is not its sources': {}; run `cargo xtask ebpf`",
        differences.join(", ")
    );
    let made_by = std::fs::read_to_string(crate_folder.join(TOOLCHAIN))?;
    let locked = locked_crates()?;
    ensure!(
        made_by.ends_with(&locked),
        "Cargo.lock has other eBPF crates than the object; run `cargo xtask ebpf`"
    );

    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(error) if std::env::var_os("CI").is_some() => {
            return Err(error.context(format!("CI rebuilds the eBPF object: {INSTALL}")));
        }
        Err(error) => {
            println!("ebpf: digests agree. NOT rebuilt, no eBPF toolchain here ({error:#}): {INSTALL}");
            return Ok(());
        }
    };
    toolchain.build(&root(), &crate_folder.join("target"), "log").context("with the feature `log`")?;
    let object = toolchain.build(&root(), &crate_folder.join("target"), "program")?;
    let here = toolchain.describe()?;
    if here != made_by {
        ensure!(
            std::env::var_os("CI").is_none(),
            "the eBPF object was made by another toolchain, so its bytes prove nothing here; \
             run `cargo xtask ebpf` and commit the object\n  it says: {}\n  here is: {}",
            made_by.trim().replace('\n', ", "),
            here.trim().replace('\n', ", ")
        );
        println!(
            "ebpf: digests agree, and the sources compile. Bytes NOT compared: the object was made by another toolchain"
        );
        return Ok(());
    }
    ensure!(
        object == std::fs::read(crate_folder.join(OBJECT))?,
        "rebuilding gives another eBPF object; run `cargo xtask ebpf` and look at the difference"
    );
    println!("ebpf: digests agree, and rebuilding gives the same {} bytes", object.len());
    Ok(())
}

/// A compiler that has its own sources, and how to make cargo use it.
struct Toolchain {
    cargo: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    rustc: PathBuf,
    linker: PathBuf,
}

impl Toolchain {
    /// Debian's compiler before a rustup nightly: the object in the repository is its work.
    fn find() -> Result<Self> {
        let linker = linker()?;
        let debian = PathBuf::from("/usr/bin/rustc");
        if has_sources(&debian) {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            return Ok(Self {
                cargo: vec![cargo],
                environment: vec![("RUSTC", debian.clone().into()), ("RUSTC_BOOTSTRAP", "1".into())],
                rustc: debian,
                linker,
            });
        }
        let nightly = output(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]))
            .map(|path| PathBuf::from(path.trim()))
            .context("neither Debian's rustc-web nor a rustup nightly")?;
        ensure!(
            has_sources(&nightly),
            "the rustup nightly has no rust-src (`rustup component add rust-src`)"
        );
        let cargo = ["rustup", "run", "nightly", "cargo"].into_iter().map(OsString::from).collect();
        Ok(Self { cargo, environment: vec![("RUSTC", nightly.clone().into())], rustc: nightly, linker })
    }

    /// The object's bytes. They depend on the sources and the toolchain, not on the folder that they are built in.
    fn build(&self, root: &Path, target: &Path, feature: &str) -> Result<Vec<u8>> {
        let mut path = vec![self.linker.parent().unwrap_or(Path::new("/")).to_path_buf()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cargo")));
        let mut flags = format!("-C target-cpu=v3 --remap-path-prefix={}=gateway", root.display());
        if let Some(home) = home {
            flags += &format!(" --remap-path-prefix={}=cargo", home.display());
        }
        let (program, arguments) = self.cargo.split_first().context("a cargo")?;
        let status = Command::new(program)
            .args(arguments)
            .args(["build", "--quiet", "--release", "--locked", "-Z", "build-std=core", "--target", TARGET])
            .args(["--package", "gateway-ebpf", "--bin", BINARY, "--features", feature, "--target-dir"])
            .arg(target)
            .current_dir(root)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("PATH", std::env::join_paths(path)?)
            .env("RUSTFLAGS", flags)
            // The workspace's release profile is the gateway's: here bpf-linker optimises the whole.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .status()
            .context("starting cargo")?;
        ensure!(status.success(), "the eBPF program does not compile");
        let object = target.join(TARGET).join("release").join(BINARY);
        std::fs::read(&object).with_context(|| object.display().to_string())
    }

    fn describe(&self) -> Result<String> {
        let rustc = output(Command::new(&self.rustc).arg("--version"))?;
        let linker = output(Command::new(&self.linker).arg("--version"))?;
        Ok(format!("{}\n{}\n{}", rustc.trim(), linker.trim(), locked_crates()?))
    }
}

fn has_sources(rustc: &Path) -> bool {
    let Ok(sysroot) = output(Command::new(rustc).args(["--print", "sysroot"])) else { return false };
    Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
}

fn linker() -> Result<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(std::env::var_os("CARGO_HOME").map(|home| PathBuf::from(home).join("bin")));
    folders.extend(home().map(|home| home.join(".cargo/bin")));
    let found = folders.into_iter().map(|folder| folder.join("bpf-linker")).find(|path| path.exists());
    found.context("no bpf-linker")
}

/// Versions of the crates that are compiled into the object, one a line.
fn locked_crates() -> Result<String> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))?;
    let mut crates = String::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && name.starts_with("aya-ebpf")
        {
            crates += &format!("{name} {version}\n");
        }
    }
    ensure!(!crates.is_empty(), "Cargo.lock names no aya-ebpf");
    Ok(crates)
}

/// What the object depends on, and itself; paths from the crate's folder.
fn sums(crate_folder: &Path) -> Result<String> {
    let mut files = vec!["Cargo.toml".to_owned(), OBJECT.to_owned(), TOOLCHAIN.to_owned()];
    for entry in std::fs::read_dir(crate_folder.join("src"))? {
        let entry = entry?;
        ensure!(entry.file_type()?.is_file(), "gateway-ebpf/src has a folder: list its files here too");
        files.push(format!("src/{}", entry.file_name().to_string_lossy()));
    }
    files.sort();
    output(Command::new("sha256sum").args(files).current_dir(crate_folder))
}

fn differences(recorded: &str, actual: &str) -> Vec<String> {
    let parse = |text: &str| -> BTreeMap<String, String> {
        text.lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(sum, file)| (file.into(), sum.into()))
            .collect()
    };
    let (recorded, actual) = (parse(recorded), parse(actual));
    let mut files: Vec<&String> = recorded.keys().chain(actual.keys()).collect();
    files.sort();
    files.dedup();
    files
        .into_iter()
        .filter_map(|file| match (recorded.get(file), actual.get(file)) {
            (Some(a), Some(b)) if a == b => None,
            (Some(_), Some(_)) => Some(format!("{file} changed")),
            (Some(_), None) => Some(format!("{file} is gone")),
            (None, _) => Some(format!("{file} is new")),
        })
        .collect()
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        std::io::stderr().write_all(&output.stderr)?;
        bail!("{command:?} failed");
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_path_buf()
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_named() {
        let recorded = "aa  src/a.rs\nbb  src/b.rs\ncc  src/c.rs\n";
        assert!(differences(recorded, recorded).is_empty());
        let actual = "aa  src/a.rs\nxx  src/b.rs\ndd  src/d.rs\n";
        assert_eq!(
            differences(recorded, actual),
            ["src/b.rs changed", "src/c.rs is gone", "src/d.rs is new"]
        );
    }

    #[test]
    fn the_lock_file_names_the_crates_of_the_program() {
        let crates = locked_crates().unwrap();
        assert!(crates.lines().any(|line| line.starts_with("aya-ebpf ")), "{crates}");
    }

    /// The object in the repository has the digests that are recorded, and so have its sources.
    #[test]
    fn recorded_digests_hold() {
        let crate_folder = root().join("gateway-ebpf");
        let recorded = std::fs::read_to_string(crate_folder.join(SUMS)).unwrap();
        assert_eq!(differences(&recorded, &sums(&crate_folder).unwrap()), Vec::<String>::new());
    }
}
