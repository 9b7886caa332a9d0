//! What XDP can do on this host, for `doctor`.

use super::load::Loaded;
use super::sys::{self, InterfaceFacts};
use super::{Inspection, XdpError, pins};
use gateway_ebpf::abi;
use std::path::Path;

/// Before multi-buffer support (which the guard has) this was the native limit on most drivers; some still keep it.
const MTU_NATIVE_USUAL: u32 = 3498;

pub fn inspect(interface: &str) -> Result<Inspection, XdpError> {
    let (_, facts) = self::interface(interface)?;
    let driver = driver(interface).or_else(|| facts.kind.clone());
    let present = facts.xdp.map(|(program, _)| {
        let name = program_name(program);
        let ours = name == abi::PROGRAM;
        (name, program, ours)
    });
    let mut notes = Vec::new();
    if !has_ethernet_frames(&facts) {
        notes.push("packets have no Ethernet header: the guard cannot be attached here".to_owned());
    } else if facts.hardware == libc::ARPHRD_LOOPBACK {
        notes.push("loopback has no driver: generic mode".to_owned());
    } else if driver.is_none() {
        notes.push("no driver is known: `auto` tries native mode and falls back to generic".to_owned());
    }
    if facts.hardware != libc::ARPHRD_LOOPBACK && facts.mtu > MTU_NATIVE_USUAL {
        notes.push(format!(
            "MTU {}: native mode needs a driver with multi-buffer XDP, otherwise generic mode serves",
            facts.mtu
        ));
    }
    if let Some((name, id, false)) = &present {
        notes.push(format!("program {name} (id {id}) is attached: the guard will not replace it"));
    }
    Ok(Inspection { interface: interface.to_owned(), driver, mtu: facts.mtu, present, notes })
}

/// Can programs be loaded at all (privilege, kernel, bpffs)? Err says what is missing and how to turn it on.
/// Loads the program for a moment, attaches nothing, changes nothing.
pub fn available(pins: &Path) -> Result<(), XdpError> {
    pins::reachable(pins)?;
    Loaded::over_own_maps().map(|_| ())
}

pub(super) fn interface(name: &str) -> Result<(u32, InterfaceFacts), XdpError> {
    sys::interface_index(name).and_then(|index| Ok((index, sys::interface_facts(index)?))).map_err(|error| {
        XdpError::new(
            format!("interface {name}: {error}"),
            "`ip -brief link` lists the interfaces of this host",
        )
    })
}

pub(super) fn has_ethernet_frames(facts: &InterfaceFacts) -> bool {
    matches!(facts.hardware, libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK)
}

pub(super) fn program_name(id: u32) -> String {
    aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "without a name".to_owned())
}

fn driver(interface: &str) -> Option<String> {
    let link = std::fs::read_link(Path::new("/sys/class/net").join(interface).join("device/driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_generic_only() {
        let inspection = inspect("lo").unwrap();
        assert_eq!(inspection.driver, None);
        assert!(inspection.notes.iter().any(|note| note.contains("generic")), "{:?}", inspection.notes);
    }

    #[test]
    fn an_unknown_interface_says_where_to_look() {
        let error = inspect("no-such-if").unwrap_err();
        assert!(error.what.contains("no-such-if") && error.mend.contains("ip -brief link"));
    }

    #[test]
    fn an_ordinary_folder_cannot_hold_pins() {
        let error = available(Path::new("/tmp")).unwrap_err();
        assert!(error.what.contains("not in a bpffs"), "{error}");
    }
}
