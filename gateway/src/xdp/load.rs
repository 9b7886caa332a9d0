//! The program: embedded in this binary, loaded over the maps that it shall use.

use super::{XdpError, pins};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader};
use gateway_ebpf::abi;
use std::path::Path;

/// The compiled object; `cargo xtask ebpf --check` proves that it is the source's.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../gateway-ebpf/object/gateway-ebpf.o"
));

const VERIFIER_LINES_SHOWN: usize = 6;

/// A loaded program that is not attached yet.
pub(super) struct Loaded {
    ebpf: Ebpf,
}

impl Loaded {
    /// Over the maps that are pinned; those that are missing are made and pinned.
    pub(super) fn over_pinned(pins: &Path) -> Result<Self, XdpError> {
        let folder = pins::maps(pins);
        let mut loader = EbpfLoader::new();
        for name in abi::MAPS {
            loader.map_pin_path(name, folder.join(name));
        }
        #[cfg(feature = "xdp-log")]
        if let Some(logging) = super::logging::logging() {
            let mut loaded = Self::load(&mut loader, &logging.object)?;
            logging.follow(&mut loaded.ebpf)?;
            return Ok(loaded);
        }
        Self::load(&mut loader, OBJECT)
    }

    /// Over new maps of its own, which vanish with it.
    pub(super) fn over_own_maps() -> Result<Self, XdpError> {
        Self::load(&mut EbpfLoader::new(), OBJECT)
    }

    fn load(loader: &mut EbpfLoader<'_>, object: &[u8]) -> Result<Self, XdpError> {
        let ebpf = loader.load(object).map_err(|error| XdpError::caused("creating the maps", &error))?;
        let mut loaded = Self { ebpf };
        loaded.program()?.load().map_err(|error| refused(&error))?;
        Ok(loaded)
    }

    pub(super) fn program(&mut self) -> Result<&mut Xdp, XdpError> {
        let program = self.ebpf.program_mut(abi::PROGRAM).ok_or_else(|| damaged("has no program"))?;
        program.try_into().map_err(|_| damaged("has a program of another type"))
    }
}

fn refused(error: &ProgramError) -> XdpError {
    const DOING: &str = "loading the XDP program into the kernel";
    let ProgramError::LoadError { io_error, verifier_log } = error else {
        return XdpError::caused(DOING, error);
    };
    let log = verifier_log.to_string();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return XdpError::caused(DOING, io_error);
    }
    // The verifier's words for whoever loads without CAP_PERFMON.
    if log.contains("prohibited for !root") {
        let what = format!("{DOING}: the arithmetic in it takes CAP_PERFMON");
        return XdpError::new(what, "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
    }
    let last = lines[lines.len().saturating_sub(VERIFIER_LINES_SHOWN)..].join("; ");
    XdpError::new(
        format!("{DOING}: its verifier refuses: {last}"),
        "report it with `uname -r`; until then set `mode = \"off\"` under [xdp]: the workers enforce the same rules",
    )
}

fn damaged(how: &str) -> XdpError {
    XdpError::new(format!("the embedded eBPF object {how}"), "rebuild it with `cargo xtask ebpf`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_holds_every_name_of_the_abi() {
        for name in abi::MAPS.into_iter().chain([abi::PROGRAM]) {
            let symbol = [name.as_bytes(), b"\0"].concat();
            assert!(OBJECT.windows(symbol.len()).any(|window| window == symbol), "{name}");
        }
    }
}
