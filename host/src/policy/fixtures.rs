//! Policies to test with.

use std::path::PathBuf;

use convoke_policy::{AdmitFacts, Facts, RouteFacts, RouteTo, Size, SizeFacts, Tier};

/// A native library that this package's tests depend on: cargo builds it beside them.
pub(super) fn library(package: &str) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let test = std::env::current_exe().expect("a path");
    let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"));
    let path = test.parent().expect("a folder").join(file);
    assert!(path.is_file(), "{} is missing: is {package} a dev-dependency of this package?", path.display());
    path
}

/// A component of the examples.
pub(super) fn component(package: &str) -> &'static [u8] {
    match package {
        "night-shift" => include_bytes!("../../../tests/prebuilt/policies/night-shift.wasm"),
        "error-budget" => include_bytes!("../../../tests/prebuilt/policies/error-budget.wasm"),
        "fixed-rate" => include_bytes!("../../../tests/prebuilt/policies/fixed-rate.wasm"),
        other => panic!("there is no component of {other}"),
    }
}

/// A question at night.
pub(super) fn at_night() -> Facts {
    let built_in = RouteTo::tier(Tier::Comprehensive, "as usual");
    Facts::Route(RouteFacts { now: convoke_policy::Now::new(0, 23, 0, 1), built_in, ..RouteFacts::default() })
}

/// Facts for [`SizeFacts::command`], on which the built-in policy decides 3.
pub(super) fn size(command: &str) -> Facts {
    let built_in = Size::of(3, "as built in");
    Facts::Size(SizeFacts { command: command.to_owned(), built_in, ..SizeFacts::default() })
}

/// Facts of another kind.
pub(super) fn admit() -> Facts {
    Facts::Admit(AdmitFacts::default())
}
