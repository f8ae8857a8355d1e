//! What a file is, read from its first bytes: so that a library for another machine is refused in plain words, before
//! the system's loader sees it.

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// No library of this system; what it is instead.
    Kind(String),
    /// A library for this other architecture.
    Machine(String),
}

/// Whether it begins as a library of this system and this architecture does.
pub(super) fn check(bytes: &[u8], os: &str, arch: &str) -> Result<(), Wrong> {
    let (format, machines) = read(bytes)?;
    let wanted = match os {
        "macos" | "ios" => "Mach-O",
        "windows" => "PE",
        _ => "ELF",
    };
    if format != wanted {
        return Err(Wrong::Kind(format!("it is a {format} file, and {os} loads {wanted}")));
    }
    if machines.iter().any(|machine| machine == arch) { Ok(()) } else { Err(Wrong::Machine(machines.join(" and "))) }
}

/// The format, and the architectures in it: a Mach-O file may have several.
fn read(bytes: &[u8]) -> Result<(&'static str, Vec<String>), Wrong> {
    let wrong = |what: &str| Err(Wrong::Kind(what.to_owned()));
    match bytes {
        [] => wrong("it is empty"),
        [0x7f, b'E', b'L', b'F', ..] => elf(bytes).map(|machine| ("ELF", vec![machine])),
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xce, 0xfa, 0xed, 0xfe, ..] => {
            let machine = u32_at(bytes, 4, false).map(mach_name).ok_or_else(cut)?;
            Ok(("Mach-O", vec![machine]))
        }
        [0xca, 0xfe, 0xba, 0xbe, ..] => fat(bytes).map(|machines| ("Mach-O", machines)),
        [b'M', b'Z', ..] => pe(bytes).map(|machine| ("PE", vec![machine])),
        [0, b'a', b's', b'm', ..] => wrong("it is WebAssembly; a component's file ends in `.wasm`"),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => wrong("it is a static library"),
        _ if bytes.iter().take(512).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            wrong("it is a text")
        }
        _ => wrong("it is neither ELF, Mach-O nor PE"),
    }
}

fn cut() -> Wrong {
    Wrong::Kind("it is truncated".to_owned())
}

fn elf(bytes: &[u8]) -> Result<String, Wrong> {
    let (Some(class), Some(order)) = (bytes.get(4), bytes.get(5)) else { return Err(cut()) };
    let big = *order == 2;
    let kind = u16_at(bytes, 16, big).ok_or_else(cut)?;
    let machine = u16_at(bytes, 18, big).ok_or_else(cut)?;
    if kind != 3 {
        return Err(Wrong::Kind("it is an ELF file, and not a shared library".to_owned()));
    }
    Ok(match (machine, class) {
        (62, 2) => "x86_64".to_owned(),
        (62, _) => "x32".to_owned(),
        (3, _) => "x86".to_owned(),
        (183, _) if big => "aarch64_be".to_owned(),
        (183, _) => "aarch64".to_owned(),
        (40, _) => "arm".to_owned(),
        (243, 2) => "riscv64".to_owned(),
        (243, _) => "riscv32".to_owned(),
        (21, _) => "powerpc64".to_owned(),
        (22, _) => "s390x".to_owned(),
        (258, _) => "loongarch64".to_owned(),
        (other, _) => format!("ELF machine {other}"),
    })
}

fn pe(bytes: &[u8]) -> Result<String, Wrong> {
    let start = u32_at(bytes, 0x3c, false).and_then(|start| usize::try_from(start).ok()).ok_or_else(cut)?;
    let machine = start.checked_add(4).and_then(|at| u16_at(bytes, at, false)).ok_or_else(cut)?;
    if bytes.get(start..start + 4) != Some(b"PE\0\0") {
        return Err(Wrong::Kind("it is a program of MS-DOS".to_owned()));
    }
    Ok(match machine {
        0x8664 => "x86_64".to_owned(),
        0xaa64 => "aarch64".to_owned(),
        0x14c => "x86".to_owned(),
        other => format!("PE machine {other:#x}"),
    })
}

/// A Mach-O file for several architectures. It is big endian.
fn fat(bytes: &[u8]) -> Result<Vec<String>, Wrong> {
    /// A Java class begins the same, and has its version where the count stands.
    const MOST: u32 = 20;
    let count = u32_at(bytes, 4, true).ok_or_else(cut)?;
    if count > MOST {
        return Err(Wrong::Kind("it is a Java class".to_owned()));
    }
    let machines = (0..count as usize).map(|index| u32_at(bytes, 8 + index * 20, true).map(mach_name).ok_or_else(cut));
    machines.collect()
}

fn mach_name(machine: u32) -> String {
    match machine {
        0x0100_0007 => "x86_64".to_owned(),
        0x0100_000c => "aarch64".to_owned(),
        other => format!("Mach-O machine {other:#x}"),
    }
}

fn u16_at(bytes: &[u8], at: usize, big: bool) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk::<2>()?;
    Some(if big { u16::from_be_bytes(*bytes) } else { u16::from_le_bytes(*bytes) })
}

fn u32_at(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(if big { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The first bytes of an ELF library.
    pub(in crate::policy) fn elf_header(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    fn pe_header(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 0x60];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x40;
        bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
        bytes[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    fn mach_header(machine: u32) -> Vec<u8> {
        [[0xcf, 0xfa, 0xed, 0xfe], machine.to_le_bytes(), [0; 4]].concat()
    }

    fn fat_header(machines: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0xca, 0xfe, 0xba, 0xbe];
        bytes.extend(u32::try_from(machines.len()).unwrap().to_be_bytes());
        for machine in machines {
            bytes.extend(machine.to_be_bytes());
            bytes.extend([0; 16]);
        }
        bytes
    }

    #[test]
    fn a_library_of_this_machine_passes_and_one_of_another_is_named() {
        assert_eq!(check(&elf_header(62), "linux", "x86_64"), Ok(()));
        assert_eq!(check(&elf_header(183), "linux", "x86_64"), Err(Wrong::Machine("aarch64".to_owned())));
        assert_eq!(check(&elf_header(183), "linux", "aarch64"), Ok(()));
        assert_eq!(check(&mach_header(0x0100_000c), "macos", "aarch64"), Ok(()));
        assert_eq!(check(&mach_header(0x0100_0007), "macos", "aarch64"), Err(Wrong::Machine("x86_64".to_owned())));
        let both = fat_header(&[0x0100_0007, 0x0100_000c]);
        assert_eq!((check(&both, "macos", "aarch64"), check(&both, "macos", "x86_64")), (Ok(()), Ok(())));
        assert_eq!(check(&pe_header(0x8664), "windows", "x86_64"), Ok(()));
        assert_eq!(check(&pe_header(0xaa64), "windows", "x86_64"), Err(Wrong::Machine("aarch64".to_owned())));
        assert!(
            matches!(check(&elf_header(4711), "linux", "x86_64"), Err(Wrong::Machine(name)) if name.contains("4711"))
        );
    }

    #[test]
    fn what_is_no_library_of_this_system_is_said_in_words() {
        let said = |bytes: &[u8]| match check(bytes, "linux", "x86_64") {
            Err(Wrong::Kind(what)) => what,
            other => panic!("{other:?}"),
        };
        assert!(said(b"").contains("empty"));
        assert!(said(b"[route]\nnight = true\n").contains("text"));
        assert!(said(b"\0asm\x0d\0\x01\0").contains("WebAssembly"));
        assert!(said(b"!<arch>\n").contains("static"));
        assert!(said(&[0xff; 40]).contains("neither"));
        assert!(said(&mach_header(0x0100_0007)).contains("Mach-O"));
        assert!(said(&pe_header(0x8664)).contains("PE"));
        let mut program = elf_header(62);
        program[16] = 2;
        assert!(said(&program).contains("not a shared library"));
        assert!(said(&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 65]).contains("Java"));
    }

    #[test]
    fn a_header_cut_anywhere_is_an_answer_and_never_a_panic() {
        for whole in [elf_header(62), pe_header(0x8664), mach_header(0x0100_0007), fat_header(&[7, 8])] {
            for end in 0..whole.len() {
                let _ = check(&whole[..end], "linux", "x86_64");
            }
        }
        let mut far = pe_header(0x8664);
        far[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(check(&far, "windows", "x86_64").is_err());
    }
}
