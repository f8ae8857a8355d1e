use super::*;

fn settings(user: &str, project: &str, env: &[(&str, &str)], flags: Choices) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let (user_file, project_file) = (folder.path().join("config.toml"), folder.path().join("convoke.toml"));
    std::fs::write(&user_file, user).unwrap();
    std::fs::write(&project_file, project).unwrap();
    let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::load(&user_file, &project_file, env, flags).unwrap()
}

#[test]
fn without_files_the_defaults_hold() {
    let none = Path::new("/nowhere/at/all");
    let settings = Settings::load(none, none, |_| None, Choices::default()).unwrap();
    assert_eq!((settings.mode, settings.backend, settings.fail_on), (Mode::Balanced, Backend::Auto, FailOn::Never));
    assert_eq!(settings.limits, Limits::of(Mode::Balanced));
    assert!(settings.read.is_empty() && settings.warnings.is_empty());
}

#[test]
fn each_layer_is_over_the_one_before() {
    let user = "mode = \"performance\"\nmodel = \"from-the-file\"\n[limits]\ninstances = 9\n";
    let of_user = settings(user, "", &[], Choices::default());
    assert_eq!((of_user.mode, of_user.limits.instances), (Mode::Performance, 9));
    let tightened = settings(user, "[limits]\ninstances = 4\n", &[], Choices::default());
    assert_eq!(tightened.limits.instances, 4);
    let env = [("CONVOKE_INSTANCES", "6"), ("CONVOKE_MODEL", "from-the-environment"), ("CONVOKE_MODE", "")];
    let by_env = settings(user, "[limits]\ninstances = 4\n", &env, Choices::default());
    assert_eq!((by_env.limits.instances, by_env.model.as_deref()), (6, Some("from-the-environment")));
    let flags = Choices { instances: Some(2), mode: Some(Mode::Safe), ..Choices::default() };
    let by_flag = settings(user, "[limits]\ninstances = 4\n", &env, flags);
    assert_eq!((by_flag.limits.instances, by_flag.mode, by_flag.limits.scan), (2, Mode::Safe, Scan::Strict));
}

#[test]
fn a_project_can_tighten() {
    let project = "mode = \"safe\"\nbackend = \"offline\"\nfail_on = \"medium\"\nsuppress_comments = false\n\
                   [limits]\nread_mib = 1\n[budget]\nusd = 0.5\n";
    let settings = settings("fail_on = \"high\"\n[budget]\nusd = 2.0\n", project, &[], Choices::default());
    assert_eq!((settings.mode, settings.backend, settings.fail_on), (Mode::Safe, Backend::Offline, FailOn::Medium));
    assert_eq!(settings.limits.read_bytes, 1024 * 1024);
    assert_eq!(settings.budget.usd.map(|usd| usd.dollars()), Some(0.5));
    assert!(!settings.suppress_comments);
    assert!(!settings.warnings.iter().any(|warning| warning.starts_with("convoke.toml")), "{:?}", settings.warnings);
}

#[test]
fn a_project_cannot_loosen_and_is_told() {
    let project = "mode = \"performance\"\nbackend = \"anthropic\"\nfail_on = \"critical\"\nsuppress_comments = true\n\
                   [limits]\ninstances = 50\nread_mib = 1000\nquestion_timeout_s = 900\n[budget]\nusd = 100.0\n";
    let user = "fail_on = \"high\"\nsuppress_comments = false\n[budget]\nusd = 2.0\n";
    let settings = settings(user, project, &[], Choices::default());
    assert_eq!((settings.mode, settings.backend, settings.fail_on), (Mode::Balanced, Backend::Auto, FailOn::High));
    assert_eq!(settings.limits, Limits::of(Mode::Balanced));
    assert_eq!(settings.budget.usd.map(|usd| usd.dollars()), Some(2.0));
    assert!(!settings.suppress_comments);
    for key in ["mode", "backend", "fail_on", "instances", "read_mib", "question_timeout_s", "budget.usd"] {
        assert!(settings.warnings.iter().any(|warning| warning.contains(key)), "{key}: {:?}", settings.warnings);
    }
}

#[test]
fn a_tier_is_the_users_own_and_flags_and_tightening_go_before_it() {
    let user = "model = \"base\"\n[tiers.speed]\nbackend = \"anthropic\"\nquestion_timeout_s = 100\n\
                [tiers.comprehensive]\nmodel = \"large\"\nquestion_timeout_s = 600\n";
    let own = settings(user, "", &[], Choices::default());
    assert_eq!((own.model.as_deref(), own.tiers.speed.model.as_deref()), (None, Some("base")));
    assert_eq!(own.tiers.comprehensive.model.as_deref(), Some("large"));
    assert_eq!(own.tiers.speed.backend, Some(Backend::Anthropic));
    let flags = Choices { backend: Some(Backend::Offline), model: Some("mine".to_owned()), ..Choices::default() };
    let by_flag = settings(user, "", &[("CONVOKE_TIER", "comprehensive")], flags);
    assert_eq!((by_flag.tiers.speed.backend, by_flag.model.as_deref()), (None, Some("mine")));
    assert_eq!(by_flag.tier, Some(TierName::Comprehensive));
    let project = "backend = \"offline\"\n[limits]\nquestion_timeout_s = 60\n[tiers.speed]\nmodel = \"theirs\"\n";
    let tightened = settings(user, project, &[], Choices::default());
    assert_eq!((tightened.backend, tightened.tiers.speed.backend), (Backend::Offline, None));
    assert_eq!(tightened.tiers.speed.model.as_deref(), Some("base"));
    let minute = Some(Duration::from_secs(60));
    assert_eq!(
        (tightened.tiers.speed.question_timeout, tightened.tiers.comprehensive.question_timeout),
        (minute, minute)
    );
    assert!(tightened.warnings.iter().any(|warning| warning.contains("[tiers]")), "{:?}", tightened.warnings);
    let alone = settings("model = \"one\"\n", "", &[], Choices::default());
    assert_eq!((alone.model.as_deref(), alone.tiers), (Some("one"), Tiers::default()));
}

#[test]
fn what_is_typed_stands_above_every_budget_for_a_run() {
    let budget = |env: &[(&str, &str)], typed: Option<f64>| {
        let flags = Choices { budget_usd: typed.map(Usd::from_dollars), ..Choices::default() };
        let settings = settings("[budget]\nusd = 1.0\nrequests = 9\n", "[budget]\nusd = 0.5\n", env, flags);
        assert_eq!((settings.budget.requests, settings.warnings.len()), (Some(9), 0));
        settings.budget.usd.map(Usd::dollars)
    };
    assert_eq!(budget(&[], None), Some(0.5));
    assert_eq!(budget(&[("CONVOKE_BUDGET_USD", "3")], None), Some(3.0));
    assert_eq!(budget(&[("CONVOKE_BUDGET_USD", "3")], Some(4.0)), Some(4.0));
}

#[test]
fn a_wrong_variable_is_named_with_a_suggestion() {
    let wrong = |name: &'static str, value: &'static str| {
        Choices::from_environment(move |asked| (asked == name).then(|| value.to_owned())).unwrap_err()
    };
    let ConfigError::Environment { name, hint } = wrong("CONVOKE_MODE", "saef") else { panic!("another error") };
    assert_eq!(name, "CONVOKE_MODE");
    assert_eq!(hint, "saef is none of safe, balanced, performance; did you mean safe?");
    assert!(wrong("CONVOKE_INSTANCES", "0").to_string().contains("CONVOKE_INSTANCES"));
    assert!(wrong("CONVOKE_BUDGET_USD", "much").to_string().contains("CONVOKE_BUDGET_USD"));
    assert!(wrong("CONVOKE_INSTANCES", "many").to_string().contains("CONVOKE_INSTANCES"));
}

#[test]
fn strictness_has_an_order() {
    assert!(FailOn::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    for fail_on in FailOn::ALL {
        assert_eq!(fail_on.name().parse(), Ok(fail_on));
    }
}

#[test]
fn only_near_names_are_suggested() {
    assert_eq!(nearest("instnaces", ["instances", "limits"]), Some("instances"));
    assert_eq!(nearest("elephant", ["instances", "limits"]), None);
    assert_eq!(nearest(&"x".repeat(1_000_000), ["instances"]), None);
}
