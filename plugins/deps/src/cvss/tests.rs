//! Scores next to the published ones, the formulas, and a kept implementation.

use ::cvss::Cvss;
use proptest::prelude::*;

use super::*;

#[test]
fn published_vectors_have_their_published_scores() {
    for (vector, score, severity) in [
        // From the examples of the specifications and the National Vulnerability Database.
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8, Severity::High),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0, Severity::High),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2, Severity::Medium),
        ("(AV:N/AC:M/Au:N/C:N/I:P/A:N)", 4.3, Severity::Medium),
        ("AV:L/AC:L/Au:N/C:N/I:N/A:N", 0.0, Severity::Low),
        ("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, Severity::Medium),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, Severity::Critical),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5, Severity::High),
        ("CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 6.2, Severity::Medium),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1, Severity::Low),
        ("CVSS:3.1/AV:P/AC:H/PR:L/UI:R/S:U/C:N/I:N/A:N", 0.0, Severity::Info),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N/E:U/RL:O/RC:U", 7.5, Severity::High),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10.0, Severity::Critical),
        ("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.3, Severity::High),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:P/VC:N/VI:L/VA:N/SC:N/SI:N/SA:N", 5.3, Severity::Medium),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0, Severity::Info),
    ] {
        assert_eq!(rate(vector), Some(Rating { severity, score: Some(score) }), "{vector}");
    }
}

#[test]
fn what_is_not_a_whole_vector_has_no_score() {
    for text in [
        "",
        "7.5",
        "high",
        "CVSS:3.1",
        "CVSS:3.1/AV:N",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N",
        "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
        "CVSS:3.1/AV:Q/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
        "CVSS:9.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
        "CVSS:4.0/AV:N/AC:L",
        "AV:N/AC:L/Au:N/C:C/I:C",
        "AV:N/AC:L/Au:N/C:C/I:C/A:C/",
    ] {
        assert_eq!(rate(text), None, "{text}");
    }
}

/// The formula of "CVSS v3.1 Specification", 7.1, written down once more, over all base vectors there are.
#[test]
fn every_base_vector_of_3_1_has_the_score_of_the_formula() {
    fn roundup(value: f64) -> f64 {
        let whole = (value * 100_000.0).round();
        if whole % 10_000.0 == 0.0 { whole / 100_000.0 } else { ((whole / 10_000.0).floor() + 1.0) / 10.0 }
    }
    let impacts = [("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let mut seen = 0;
    for (av, av_value) in [("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)] {
        for (ac, ac_value) in [("L", 0.77), ("H", 0.44)] {
            for (pr, unchanged, changed) in [("N", 0.85, 0.85), ("L", 0.62, 0.68), ("H", 0.27, 0.5)] {
                for (ui, ui_value) in [("N", 0.85), ("R", 0.62)] {
                    for scope in ["U", "C"] {
                        for (c, c_value) in impacts {
                            for (i, i_value) in impacts {
                                for (a, a_value) in impacts {
                                    let iss: f64 = 1.0 - (1.0 - c_value) * (1.0 - i_value) * (1.0 - a_value);
                                    let pr_value = if scope == "U" { unchanged } else { changed };
                                    let exploitability = 8.22 * av_value * ac_value * pr_value * ui_value;
                                    let impact = if scope == "U" {
                                        6.42 * iss
                                    } else {
                                        7.52 * (iss - 0.029) - 3.25 * (iss - 0.02).powf(15.0)
                                    };
                                    let score = if impact <= 0.0 {
                                        0.0
                                    } else if scope == "U" {
                                        roundup((impact + exploitability).min(10.0))
                                    } else {
                                        roundup((1.08 * (impact + exploitability)).min(10.0))
                                    };
                                    let vector =
                                        format!("CVSS:3.1/AV:{av}/AC:{ac}/PR:{pr}/UI:{ui}/S:{scope}/C:{c}/I:{i}/A:{a}");
                                    assert_eq!(rate(&vector).and_then(|rating| rating.score), Some(score), "{vector}");
                                    seen += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(seen, 2592);
}

#[test]
fn the_bands_begin_at_4_7_and_9() {
    assert_eq!(word("MODERATE").map(|rating| rating.severity), Some(Severity::Medium));
    assert_eq!(word("untriaged"), None);
    let rating = |severity, score| Some(Rating { severity, score });
    let (high, medium) = (rating(Severity::High, None), rating(Severity::Medium, Some(6.9)));
    assert_eq!(worse(high, medium), high);
    assert_eq!(worse(medium, high), high);
    assert_eq!(worse(None, medium), medium);
    assert_eq!(worse(high, rating(Severity::High, Some(7.0))), rating(Severity::High, Some(7.0)));
}

/// What the crate `cvss` makes of a vector whose mandatory metrics are all there.
fn reference(vector: &str) -> Option<Rating> {
    let vector: Cvss = vector.parse().ok()?;
    let severity = match vector.severity() {
        ::cvss::Severity::None => Severity::Info,
        ::cvss::Severity::Low => Severity::Low,
        ::cvss::Severity::Medium => Severity::Medium,
        ::cvss::Severity::High => Severity::High,
        ::cvss::Severity::Critical => Severity::Critical,
    };
    Some(Rating { severity, score: Some(vector.score()) })
}

/// All vectors of these metrics, each `NAME` and the letters of its values.
fn all(prefix: &str, metrics: &[(&str, &str)]) -> Vec<String> {
    metrics.iter().fold(vec![prefix.to_owned()], |vectors, (name, values)| {
        vectors
            .iter()
            .flat_map(|vector| {
                let slash = if vector.is_empty() || vector.ends_with('/') { "" } else { "/" };
                values.chars().map(move |value| format!("{vector}{slash}{name}:{value}"))
            })
            .collect()
    })
}

const BASE_3: [(&str, &str); 8] =
    [("AV", "NALP"), ("AC", "LH"), ("PR", "NLH"), ("UI", "NR"), ("S", "UC"), ("C", "HLN"), ("I", "HLN"), ("A", "HLN")];

const BASE_2: [(&str, &str); 6] =
    [("AV", "NAL"), ("AC", "LMH"), ("Au", "NSM"), ("C", "CPN"), ("I", "CPN"), ("A", "CPN")];

#[test]
fn every_base_vector_of_2_and_3_has_the_score_of_the_kept_implementation() {
    for (vectors, count) in
        [(all("CVSS:3.1/", &BASE_3), 2592), (all("CVSS:3.0/", &BASE_3), 2592), (all("", &BASE_2), 729)]
    {
        assert_eq!(vectors.len(), count);
        for vector in vectors {
            assert!(rate(&vector).is_some(), "{vector}");
            assert_eq!(rate(&vector), reference(&vector), "{vector}");
        }
    }
}

/// All that EQ3 with EQ6, and EQ4, tell apart, with the rest at its worst and at its best.
#[test]
fn every_impact_and_requirement_of_4_0_has_the_score_of_the_kept_implementation() {
    let impacts = [("VC", "HLN"), ("VI", "HLN"), ("VA", "HLN"), ("CR", "XHML"), ("IR", "HML"), ("AR", "HML")];
    let subsequent = [("SC", "HLN"), ("SI", "HLN"), ("SA", "HLN"), ("MSI", "XSHLN"), ("MSA", "XSHLN")];
    let mut seen = 0;
    for rest in ["CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N", "CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/E:U"] {
        let first = all(&format!("{rest}/SC:L/SI:N/SA:H"), &impacts);
        for vector in first.iter().chain(&all(&format!("{rest}/VC:L/VI:H/VA:N"), &subsequent)) {
            assert!(rate(vector).is_some(), "{vector}");
            assert_eq!(rate(vector), reference(vector), "{vector}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * (972 + 675));
}

/// Every metric that a version has, with every value that it has there.
#[test]
fn every_value_of_every_metric_is_read_and_no_other() {
    let names = [
        "AV", "AC", "AT", "Au", "PR", "UI", "S", "C", "I", "A", "VC", "VI", "VA", "SC", "SI", "SA", "E", "RL", "RC",
        "CDP", "TD", "CR", "IR", "AR", "MAV", "MAC", "MAT", "MPR", "MUI", "MS", "MC", "MI", "MA", "MVC", "MVI", "MVA",
        "MSC", "MSI", "MSA", "AU", "R", "V", "RE", "U", "CVSS", "", "/",
    ];
    let values = [
        "N", "A", "L", "P", "H", "M", "S", "C", "U", "R", "O", "T", "W", "F", "X", "Y", "I", "D", "Red", "amber",
        "GREEN", "Clear", "ND", "nd", "POC", "OF", "TF", "UC", "UR", "LM", "MH", "n", "", "/", " ", ":", "NN", "3.1",
    ];
    for whole in [
        "AV:N/AC:L/Au:N/C:C/I:C/A:C",
        "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    ] {
        for name in names {
            let kept: Vec<_> = whole.split('/').filter(|part| part.split(':').next() != Some(name)).collect();
            for value in values {
                let vector = format!("{}/{name}:{value}", kept.join("/"));
                // The crate counts a metric of 3.0 and 3.1 that is missing as 0, but here all are there.
                assert_eq!(rate(&vector), if name == "CVSS" { None } else { reference(&vector) }, "{vector}");
            }
        }
    }
}

/// Vectors of 4.0: all base metrics, and some of the threat, environmental and supplemental ones, or none.
fn metrics_of_4_0() -> impl Strategy<Value = String> {
    let base = |name: &'static str, values: &'static str| {
        prop::sample::select(values.chars().collect::<Vec<_>>()).prop_map(move |value| format!("{name}:{value}"))
    };
    let more = |name: &'static str, values: &'static str| {
        prop_oneof![Just(String::new()), base(name, values).prop_map(|metric| format!("/{metric}"))]
    };
    let exploitability = (base("AV", "NALP"), base("AC", "LH"), base("AT", "NP"), base("PR", "NLH"), base("UI", "NPA"));
    let impact = [("VC", "HLN"), ("VI", "HLN"), ("VA", "HLN"), ("SC", "HLN"), ("SI", "HLN"), ("SA", "HLN")]
        .map(|(name, values)| base(name, values));
    let threat = [("E", "XAPU"), ("CR", "XHML"), ("IR", "XHML"), ("AR", "XHML"), ("S", "XPN"), ("RE", "XLMH")]
        .map(|(name, values)| more(name, values));
    let modified = [
        ("MAV", "XNALP"),
        ("MAC", "XLH"),
        ("MAT", "XNP"),
        ("MPR", "XNLH"),
        ("MUI", "XNPA"),
        ("MVC", "XHLN"),
        ("MVI", "XHLN"),
        ("MVA", "XHLN"),
        ("MSC", "XHLN"),
        ("MSI", "XSHLN"),
        ("MSA", "XSHLN"),
    ]
    .map(|(name, values)| more(name, values));
    (exploitability, impact, any::<[bool; 2]>(), threat, modified).prop_map(
        |((av, ac, at, pr, ui), impact, with, threat, modified)| {
            let impact = impact.join("/");
            let threat = if with[0] { threat.concat() } else { String::new() };
            let modified = if with[1] { modified.concat() } else { String::new() };
            format!("CVSS:4.0/{av}/{ac}/{at}/{pr}/{ui}/{impact}{threat}{modified}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20_000) })]

    #[test]
    fn a_vector_of_4_0_has_the_score_of_the_kept_implementation(vector in metrics_of_4_0()) {
        prop_assert!(rate(&vector).is_some(), "{}", vector);
        prop_assert_eq!(rate(&vector), reference(&vector), "{}", vector);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_vector_ends_the_component(
        version in prop::sample::select(vec!["", "CVSS:3.0/", "CVSS:3.1/", "CVSS:4.0/"]),
        metrics in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "AV", "AC", "AT", "PR", "UI", "S", "C", "I", "A", "VC", "VI", "VA", "SC", "SI", "SA", "E", "RL", "Au",
                    "CR", "IR", "AR", "MAV", "MSI", "MSA", "MVC", "CDP",
                ]),
                prop::sample::select(vec!["N", "L", "H", "P", "A", "X", "S", "U", "R", "C", "M"]),
            ),
            0..20,
        ),
    ) {
        let metrics: Vec<_> = metrics.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let _ = rate(&format!("{version}{}", metrics.join("/")));
    }

    #[test]
    fn a_whole_vector_of_4_0_has_a_score(
        av in prop::sample::select(vec!["N", "A", "L", "P"]), ac in prop::sample::select(vec!["L", "H"]),
        at in prop::sample::select(vec!["N", "P"]), pr in prop::sample::select(vec!["N", "L", "H"]),
        ui in prop::sample::select(vec!["N", "P", "A"]),
        impacts in prop::collection::vec(prop::sample::select(vec!["H", "L", "N"]), 6),
        more in prop::sample::select(vec!["", "/E:A", "/E:P", "/E:U", "/MSI:S", "/CR:L/IR:M/AR:H", "/MVC:N/MAV:P"]),
    ) {
        let [vc, vi, va, sc, si, sa] = impacts[..] else { unreachable!() };
        let vector = format!(
            "CVSS:4.0/AV:{av}/AC:{ac}/AT:{at}/PR:{pr}/UI:{ui}/VC:{vc}/VI:{vi}/VA:{va}/SC:{sc}/SI:{si}/SA:{sa}{more}"
        );
        let score = rate(&vector).and_then(|rating| rating.score);
        prop_assert!(score.is_some_and(|score| (0.0..=10.0).contains(&score)), "{} {:?}", vector, score);
    }
}
