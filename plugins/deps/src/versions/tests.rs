//! Tables from the specifications, and that each order is one.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;
use crate::model::Ecosystem::{CratesIo, Go, Maven, Npm, NuGet, PyPI, RubyGems};

/// All that is compared in a row comes in that order, each with each.
fn ascending(ecosystem: Ecosystem, row: &[&str]) {
    for (at, low) in row.iter().enumerate() {
        assert_eq!(compare(ecosystem, low, low), Some(Ordering::Equal), "{low}");
        for high in &row[at + 1..] {
            assert_eq!(compare(ecosystem, low, high), Some(Ordering::Less), "{low} < {high}");
            assert_eq!(compare(ecosystem, high, low), Some(Ordering::Greater), "{high} > {low}");
        }
    }
}

fn equal(ecosystem: Ecosystem, pairs: &[(&str, &str)]) {
    for (a, b) in pairs {
        assert_eq!(compare(ecosystem, a, b), Some(Ordering::Equal), "{a} = {b}");
        assert_eq!(compare(ecosystem, b, a), Some(Ordering::Equal), "{b} = {a}");
    }
}

fn none(ecosystem: Ecosystem, texts: &[&str]) {
    for text in texts {
        assert_eq!(compare(ecosystem, text, "1.0.0"), None, "{text}");
        assert_eq!(compare(ecosystem, "1.0.0", text), None, "{text}");
    }
}

#[test]
fn semantic_versions_have_the_order_of_paragraph_11() {
    for ecosystem in [CratesIo, Npm, Go] {
        ascending(
            ecosystem,
            &[
                "0.9.9",
                "1.0.0-0",
                "1.0.0-9",
                "1.0.0-10",
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "2.0.0",
                "2.1.0",
                "2.1.1",
                "2.1.10",
            ],
        );
        equal(ecosystem, &[("1.0.0+a", "1.0.0+b"), ("v1.2.3", "1.2.3"), ("=1.2.3", "1.2.3"), ("1.2", "1.2.0")]);
        equal(ecosystem, &[("1", "1.0.0"), ("1-rc.1", "1.0.0-rc.1"), (" 1.0.0 ", "1.0.0")]);
        none(
            ecosystem,
            &["", "latest", "1.2.3.4", "1.02.3", "1.x", "^1.0.0", "99999999999999999999.0.0", "1.0.0-", "é"],
        );
    }
}

#[test]
fn pseudo_versions_of_go_stand_between_the_tags() {
    ascending(
        Go,
        &[
            "v0.0.0-20190101000000-abcdefabcdef",
            "v0.0.0-20200101000000-0bcdefabcdef",
            "v1.2.2",
            "v1.2.3-0.20200101000000-abcdefabcdef",
            "v1.2.3-pre",
            "v1.2.3-pre.0.20200101000000-abcdefabcdef",
            "v1.2.3",
        ],
    );
    equal(Go, &[("v2.0.0+incompatible", "v2.0.0"), ("v2.0.0+incompatible", "2.0.0")]);
}

#[test]
fn python_orders_its_suffixes_as_the_summary_says() {
    ascending(
        PyPI,
        &[
            "0.9",
            "1.dev0",
            "1.0.dev456",
            "1.0a1",
            "1.0a2.dev456",
            "1.0a12.dev456",
            "1.0a12",
            "1.0b1.dev456",
            "1.0b2",
            "1.0b2.post345.dev456",
            "1.0b2.post345",
            "1.0rc1.dev456",
            "1.0rc1",
            "1.0",
            "1.0+abc.5",
            "1.0+abc.7",
            "1.0+5",
            "1.0.post456.dev34",
            "1.0.post456",
            "1.0.15",
            "1.1.dev1",
            "1.1",
            "2013.10",
            "1!0.1",
        ],
    );
    equal(
        PyPI,
        &[
            ("1.0", "1.0.0"),
            ("v1.0", "1"),
            ("1.0alpha1", "1.0a1"),
            ("1.0.ALPHA-1", "1.0a1"),
            ("1.0_beta", "1.0b0"),
            ("1.0c1", "1.0rc1"),
            ("1.0-preview_1", "1.0rc1"),
            ("1.0pre", "1.0rc0"),
            ("1.0-1", "1.0.post1"),
            ("1.0rev2", "1.0.post2"),
            ("1.0-r4", "1.0.post4"),
            ("1.0post", "1.0.post0"),
            ("1.0-dev", "1.0.dev0"),
            ("1.0a-", "1.0a0"),
            ("1.0+ubuntu-1", "1.0+ubuntu.1"),
            ("0!1.0", "1.0"),
            ("1.01", "1.1"),
            (" 1.0\n", "1.0"),
        ],
    );
    none(
        PyPI,
        &["", "1.0-bulbasaur", "1.0+", "1.0+a..b", "french toast", "1.0a1b2", "1..0", "!1.0", "1.0.*", "v", "1.0é"],
    );
}

#[test]
fn a_local_build_counts_as_its_release_at_a_bound_without_label() {
    let version = |text| Version::parse(PyPI, text).unwrap();
    assert_eq!(version("2.0.1+cpu").order_to(&version("2.0.1")), Some(Ordering::Equal));
    assert_eq!(version("2.0.1+cpu").order_to(&version("2.0.1+abc")), Some(Ordering::Greater));
    assert_eq!(version("2.0.1").order_to(&version("2.0.1+abc")), Some(Ordering::Less));
}

#[test]
fn maven_orders_qualifiers_before_and_after_the_release() {
    ascending(
        Maven,
        &[
            "1-alpha2snapshot",
            "1-alpha2",
            "1-alpha-123",
            "1-beta-2",
            "1-beta123",
            "1-m2",
            "1-m11",
            "1-rc",
            "1-cr2",
            "1-rc123",
            "1-SNAPSHOT",
            "1",
            "1-sp",
            "1-sp2",
            "1-sp123",
            "1-abc",
            "1-def",
            "1-pom-1",
            "1-1-snapshot",
            "1-1",
            "1-2",
            "1-123",
        ],
    );
}

#[test]
fn maven_orders_numbers_after_words_and_dots_after_hyphens() {
    ascending(
        Maven,
        &[
            "2.0", "2.0.a", "2-1", "2.0.2", "2.0.123", "2.1.0", "2.1-a", "2.1b", "2.1-c", "2.1-1", "2.1.0.1", "2.2",
            "2.123", "11.a2", "11.a11", "11.b2", "11.b11", "11.m2", "11.m11", "11", "11.a", "11b", "11c", "11m",
        ],
    );
    ascending(Maven, &["1-sp-1", "1-ga-1"]);
    ascending(Maven, &["1-foo2", "1-foo10"]);
    ascending(Maven, &["1.0.alpha", "1", "1-1", "1.0.1"]);
    ascending(Maven, &["6.1.0rc3", "6.1.0", "6.1H.5-beta"]);
    ascending(
        Maven,
        &["20190126.230843", "1234567890.12345", "123456789012345.1H.5-beta", "12345678901234567890.1H.5-beta"],
    );
    ascending(Maven, &["0.0.0-2021-05-17T01-01-51-5ec03a8b", "20.0.0"]);
    assert_eq!(compare(Maven, "1-sp.1", "1-ga.1"), Some(Ordering::Greater));
}

#[test]
fn maven_trims_what_is_nothing() {
    equal(
        Maven,
        &[
            ("1", "1.0"),
            ("1", "1.0.0"),
            ("1", "1-0"),
            ("1", "1.0-0"),
            ("1", "1."),
            ("1", "1-"),
            ("1", "1.ga"),
            ("1", "1.final"),
            ("1", "1-RELEASE"),
            ("1.0.0-foo.0.0", "1-foo"),
            ("1.0.0-0.0.0", "1"),
            ("0.0.0-0.0.0", "0-final-ga"),
            ("1-1.foo-bar1baz-.1", "1-1.foo-bar-1-baz-0.1"),
            ("1.foo", "1-foo"),
            ("1x", "1.0.0-X"),
            ("1.0.0x", "1-x"),
            ("1a1", "1-alpha-1"),
            ("1b2", "1-beta-2"),
            ("1m3", "1-MileStone-3"),
            ("1cr", "1rc"),
            ("1", "01"),
            ("1-1", "1-ga-1"),
        ],
    );
    assert_eq!(compare(Maven, "1-a", "1-alpha"), Some(Ordering::Greater));
    none(Maven, &["", "${project.version}", "[1.0,2.0)", "LATEST", "RELEASE", "1 2"]);
}

#[test]
fn letters_in_a_gem_are_a_pre_release() {
    ascending(
        RubyGems,
        &[
            "0.9",
            "1.0.a.2",
            "1.0.b1",
            "1.0.rc1",
            "1.0",
            "1.2.3.pre",
            "1.2.3-1",
            "1.2.3",
            "1.2.4.beta",
            "1.2.4",
            "1.3",
            "3.2",
            "3.10",
            "99999999999999999999",
            "100000000000000000000",
        ],
    );
    ascending(RubyGems, &["1.0.a.9", "1.0.a10"]);
    ascending(RubyGems, &["1beta", "1"]);
    equal(RubyGems, &[("1.0", "1"), ("1.0.0", "1.0"), ("1.0.a2", "1.0.a.2"), ("1.0.0.a", "1.a"), ("1.a.0", "1.a")]);
    equal(RubyGems, &[("1.0-rc1", "1.0.pre.rc1"), (" 1.0", "1.0")]);
    none(RubyGems, &["", "junk", "1..2", "1.0 2", "1.2.3-x86_64-linux", ".1", "1.", "-1", "é"]);
}

#[test]
fn nuget_has_four_numbers_and_no_case() {
    ascending(
        NuGet,
        &[
            "0.9.9.1",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-alpha",
            "1.0.0-BETA",
            "1.0.0-beta.1",
            "1.0.0-beta2",
            "1.0.0-rc",
            "1.0.0",
            "1.0.0.1-alpha",
            "1.0.0.1",
            "1.0.1",
            "1.999.9999",
            "2.1.1",
        ],
    );
    equal(NuGet, &[("1.0", "1.0.0.0"), ("1", "1.0.0"), ("1.0.0-BETA", "1.0.0-beta"), ("1.0.0+a", "1.0.0+b")]);
    equal(NuGet, &[("1.0.01", "1.0.1"), ("1.0.0-rc-1+a-b", "1.0.0-RC-1")]);
    none(NuGet, &["", "1.2.3.4.5", "1.0.0-", "1.0.0-a..b", "1.*", "[1.0]", "a", "-1", "1.-1"]);
}

#[test]
fn what_is_too_long_is_no_version() {
    let long = "1.".repeat(600) + "1";
    for ecosystem in [CratesIo, Npm, Go, PyPI, Maven, RubyGems, NuGet] {
        assert_eq!(compare(ecosystem, &long, "1.0.0"), None);
    }
}

/// Texts that are often versions: made of the pieces that versions are made of.
fn version() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "0", "0", "1", "1", "2", "10", "007", "a", "b", "m", "rc", "alpha", "beta", "sp", "ga", "final", "snapshot",
        "dev", "post", "pre", "foo", "X",
    ]);
    let mark = prop::sample::select(vec![".", ".", ".", "-", "-", "+", "_", ""]);
    prop::collection::vec((mark, piece), 0..6).prop_map(|rest| {
        let mut text = "1".to_owned();
        for (mark, piece) in rest {
            text.push_str(mark);
            text.push_str(piece);
        }
        text
    })
}

fn ecosystem() -> impl Strategy<Value = Ecosystem> {
    prop::sample::select(vec![CratesIo, PyPI, Maven, RubyGems, NuGet])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_is_total(ecosystem in ecosystem(), texts in prop::collection::vec(version(), 3..7)) {
        let versions: Vec<_> = texts.iter().filter_map(|text| Some((text, Version::parse(ecosystem, text)?))).collect();
        for (a, first) in &versions {
            for (b, second) in &versions {
                let order = first.order(second).unwrap();
                prop_assert_eq!(second.order(first).unwrap(), order.reverse(), "{} {}", a, b);
                for (c, third) in &versions {
                    let (on, whole) = (second.order(third).unwrap(), first.order(third).unwrap());
                    if order == on || on.is_eq() {
                        prop_assert_eq!(whole, order, "{} {} {}", a, b, c);
                    }
                }
            }
        }
    }

    #[test]
    fn no_text_ends_the_component(ecosystem in ecosystem(), a in "\\PC{0,40}", b in "[0-9a-zA-Z.+_!-]{0,40}") {
        let _ = compare(ecosystem, &a, &b);
        let _ = compare(ecosystem, &b, &a);
    }
}
