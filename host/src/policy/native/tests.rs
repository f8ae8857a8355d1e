use std::fs;
use std::time::{Duration, Instant};

use convoke_policy::{Decision, RouteTo, Size, Tier};
use convoke_runtime::event::Events;
use convoke_runtime::policy::Slot;

use super::super::fixtures::{at_night, library, size};
use super::header::tests::elf_header;
use super::*;

/// A switch of this test's own, so that what hangs here does not hinder the others.
fn switch() -> &'static Switch {
    Box::leak(Box::default())
}

fn cache() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn hostile() -> NativePolicy {
    NativePolicy::new(&library("hostile-policy"), cache().path(), switch()).unwrap()
}

/// Why a file with these bytes is refused.
fn refused(name: &str, bytes: &[u8]) -> PolicyError {
    let folder = cache();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    NativePolicy::new(&path, &folder.path().join("cache"), switch()).err().expect("it is refused")
}

#[test]
fn an_example_says_what_it_is_and_decides() {
    let policy = NativePolicy::new(&library("night-shift"), cache().path(), switch()).unwrap();
    assert_eq!(policy.description(), &Description::new("night-shift", env!("CARGO_PKG_VERSION")));
    let night = Decision::Route(RouteTo::tier(Tier::Speed, "it is night"));
    for _ in 0..100 {
        assert_eq!(policy.decide(&at_night()), Ok(night.clone()));
    }
    assert_eq!(policy.decide(&size("x")), Ok(Decision::Size(Size::of(3, "as built in"))));
}

#[test]
fn what_can_not_be_read_is_a_fault_and_the_next_decision_is_made() {
    let policy = hostile();
    let table = [
        ("panic", "it panicked"),
        ("panic", "I will not decide"),
        ("refuse", "it says: I am \\u{1b}[31mtired"),
        ("null", "null pointer"),
        ("huge", "65536 are allowed"),
        ("long", "100000 bytes"),
        ("nothing", "no decision"),
        ("status", "status 99"),
        ("bytes", "not UTF-8"),
        ("no-json", "no decision"),
        ("nan", "no decision"),
        ("too-many", "no decision"),
    ];
    for (misdeed, said) in table {
        let Fault(why) = policy.decide(&size(misdeed)).unwrap_err();
        assert!(why.contains(said), "{misdeed}: {why}");
        assert!(why.len() < 1_000, "{misdeed}: {why}");
    }
    assert_eq!(policy.decide(&size("nothing wrong")), Ok(Decision::Size(Size::of(3, "as built in"))));
}

#[tokio::test]
async fn the_built_in_policy_goes_on_where_a_library_fails_or_decides_nonsense_and_it_is_said_once() {
    for misdeed in ["panic", "huge", "billion", "nan", "other-kind", "no-json"] {
        let events = Events::new();
        let slot = Slot::built_in(events.clone());
        slot.swap("hostile.so", None, Some(Box::new(hostile())), "chosen").await;
        for _ in 0..3 {
            let decided = slot.decide(&slot.in_force(), &size(misdeed));
            assert_eq!((decided.decision, &*decided.by), (Decision::Size(Size::of(3, "as built in")), "built-in"));
        }
        let warned = events.warned();
        assert_eq!(warned.len(), 1, "{misdeed}: {warned:?}");
        assert!(warned[0].contains("hostile.so"), "{warned:?}");
    }
}

#[test]
fn one_that_hangs_is_left_and_no_other_is_loaded_since() {
    let (cache, switch) = (cache(), switch());
    let policy = NativePolicy::new(&library("hostile-policy"), cache.path(), switch).unwrap();
    assert_eq!(switch.why_off(), None);
    let begin = Instant::now();
    let Fault(why) = policy.decide(&size("hang")).unwrap_err();
    assert!(why.contains("longer than 10 ms"), "{why}");
    assert!(begin.elapsed() >= Duration::from_millis(10));
    let Fault(why) = policy.decide(&size("x")).unwrap_err();
    assert!(why.contains("left"), "{why}");
    let error = NativePolicy::new(&library("night-shift"), cache.path(), switch).err().expect("it is refused");
    assert!(matches!(error, PolicyError::SwitchedOff { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("night_shift") && said.contains("hostile_policy") && said.contains("hung"), "{said}");
}

#[test]
fn what_is_no_library_for_this_machine_is_refused_before_it_is_loaded() {
    let other = if std::env::consts::ARCH == "aarch64" { ("x86_64", 62) } else { ("aarch64", 183) };
    if cfg!(target_os = "linux") {
        let error = refused("other.so", &elf_header(other.1));
        assert!(matches!(&error, PolicyError::OtherMachine { library, .. } if library == other.0), "{error}");
    }
    for (bytes, said) in [
        (&b"version = 1\n"[..], "text"),
        (b"", "empty"),
        (b"\0asm\x0d\0\x01\0", "WebAssembly"),
        (&[0xff; 2_000], "neither"),
    ] {
        let error = refused("renamed.so", bytes);
        assert!(matches!(&error, PolicyError::NotALibrary { .. }), "{error}");
        assert!(error.to_string().contains(said) && error.hint().is_some(), "{error}");
    }
    let nothing = NativePolicy::new(Path::new("/nowhere/policy.so"), cache().path(), switch()).err();
    assert!(matches!(nothing, Some(PolicyError::Io { .. })));
}

/// The hostile library with each occurrence of some bytes, and what follows at an offset, replaced.
#[cfg(target_os = "linux")]
fn patched(find: &[u8], offset: usize, replace: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(library("hostile-policy")).unwrap();
    let places: Vec<usize> =
        bytes.windows(find.len()).enumerate().filter(|(_, window)| *window == find).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + offset..at + offset + replace.len()].copy_from_slice(replace);
    }
    bytes
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_that_is_no_policy_or_one_of_another_version_says_so() {
    use std::mem::offset_of;

    use convoke_policy::abi::{MAGIC, SYMBOL, Table};

    let error = refused("a.so", &patched(SYMBOL.as_bytes(), 0, b"convoke_policy_v0"));
    assert!(matches!(error, PolicyError::NoSymbol { symbol: "convoke_policy_v1", .. }), "{error}");

    let error = refused("b.so", &patched(&MAGIC, offset_of!(Table, abi), &7_u32.to_ne_bytes()));
    assert!(matches!(&error, PolicyError::OtherAbi { why, .. } if why.contains("version 7")), "{error}");

    let error = refused("c.so", &patched(&MAGIC, offset_of!(Table, size), &8_u32.to_ne_bytes()));
    assert!(matches!(&error, PolicyError::OtherAbi { why, .. } if why.contains("8 bytes")), "{error}");

    let error = refused("d.so", &patched(&MAGIC, offset_of!(Table, policy), &9_u32.to_ne_bytes()));
    assert!(matches!(error, PolicyError::OtherVersion { policy: 9, host: VERSION, .. }), "{error}");

    let error = refused("e.so", &patched(&MAGIC, offset_of!(Table, arch), b"pdp11"));
    assert!(matches!(&error, PolicyError::OtherAbi { why, .. } if why.contains("pdp11")), "{error}");

    let error = refused("f.so", &patched(&MAGIC, 0, b"notmagic"));
    assert!(matches!(&error, PolicyError::OtherAbi { why, .. } if why.contains("does not begin")), "{error}");

    let whole = fs::read(library("hostile-policy")).unwrap();
    let error = refused("g.so", &whole[..200]);
    assert!(matches!(error, PolicyError::Load { .. }), "{error}");
}

#[test]
fn the_file_can_be_replaced_while_it_runs() {
    let (folder, cache) = (cache(), cache());
    let path = folder.path().join("policy.so");
    fs::copy(library("night-shift"), &path).unwrap();
    let old = NativePolicy::new(&path, cache.path(), switch()).unwrap();
    fs::copy(library("fixed-rate"), &path).unwrap();
    let new = NativePolicy::new(&path, cache.path(), switch()).unwrap();
    assert_eq!((&*old.description().name, &*new.description().name), ("night-shift", "fixed-rate"));
    fs::remove_file(&path).unwrap();
    assert_eq!(old.decide(&at_night()), Ok(Decision::Route(RouteTo::tier(Tier::Speed, "it is night"))));
    assert_eq!(new.decide(&at_night()), Ok(Decision::Route(RouteTo::tier(Tier::Comprehensive, "as usual"))));
}

#[test]
#[cfg(unix)]
fn the_copy_is_private_and_a_changed_one_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = cache();
    let cache = folder.path().join("libraries");
    drop(NativePolicy::new(&library("error-budget"), &cache, switch()).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    let copies: Vec<PathBuf> = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    assert_eq!(mode(copy), 0o600);
    // Not written over: its pages are in use.
    fs::remove_file(copy).unwrap();
    fs::write(copy, "something else").unwrap();
    drop(NativePolicy::new(&library("error-budget"), &cache, switch()).unwrap());
    assert_eq!(fs::read(copy).unwrap(), fs::read(library("error-budget")).unwrap());
}
