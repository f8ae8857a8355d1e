use super::*;

fn query(regex: &str) -> SearchQuery {
    SearchQuery { regex: regex.to_owned(), limit: 100, ..SearchQuery::default() }
}

async fn lines(project: &Project, query: &SearchQuery) -> Vec<(String, u32, String)> {
    let findings = project.search(None, query).await.unwrap();
    findings.matches.iter().map(|found| (found.path.clone(), found.line, found.text.clone())).collect()
}

fn line(path: &str, line: u32, text: &str) -> (String, u32, String) {
    (path.to_owned(), line, text.to_owned())
}

#[tokio::test]
async fn matches_are_sorted_by_path_and_line() {
    let ground = Ground::new(&[("b.md", "TODO one\nnothing\n  TODO two"), ("a.md", "x\ntodo\n"), ("c.log", "TODO\n")]);
    let project = ground.open();
    let md = SearchQuery { files: globs(&["*.md"], &[]), ..query("TODO") };
    assert_eq!(lines(&project, &md).await, [line("b.md", 1, "TODO one"), line("b.md", 3, "  TODO two")]);
    let any_case = SearchQuery { ignore_case: true, ..md };
    assert_eq!(lines(&project, &any_case).await[0], line("a.md", 2, "todo"));
}

#[tokio::test]
async fn the_end_of_a_line_is_its_end_on_windows_too() {
    let ground = Ground::new(&[("a.md", "one end\r\nend two\r\nthe end\r\n")]);
    let expected = [line("a.md", 1, "one end"), line("a.md", 3, "the end")];
    assert_eq!(lines(&ground.open(), &query("end$")).await, expected);
}

#[tokio::test]
async fn the_limit_takes_the_first_ones() {
    let ground = Ground::new(&[("a.md", "x\nx\n"), ("b.md", "x\nx\n")]);
    let project = ground.open();
    let limited = async |limit| lines(&project, &SearchQuery { limit, ..query("x") }).await.len();
    assert_eq!((limited(0).await, limited(1).await, limited(3).await, limited(9).await), (0, 1, 3, 4));
}

#[tokio::test]
async fn more_matches_than_the_host_gives_are_an_error_and_not_a_part() {
    let ground = Ground::new(&[("a.md", "x\n".repeat(6).as_str())]);
    let project = ground.open_with(Limits { matches: 5, ..Limits::default() });
    let limited = async |limit| project.search(None, &SearchQuery { limit, ..query("x") }).await;
    assert_eq!(limited(5).await.unwrap().matches.len(), 5);
    assert!(matches!(limited(6).await, Err(ProjectError::TooMany { limit: 5, .. })));
}

#[tokio::test]
async fn binary_files_are_left_out_and_other_text_is_read_as_well_as_can_be() {
    let ground = Ground::new(&[]);
    ground.write("late.bin", [&b"needle\n".repeat(5000)[..], b"\0"].concat());
    ground.write("latin.md", b"needle \xe9\n");
    ground.write("long.md", "needle ".repeat(1000));
    let found = lines(&ground.open(), &query("needle")).await;
    assert_eq!(found[0], line("latin.md", 1, "needle \u{fffd}"));
    assert_eq!((found.len(), found[1].2.chars().count()), (2, 2001), "a long line is cut");
    assert!(found[1].2.ends_with('…'));
}

#[tokio::test]
async fn a_file_too_large_to_search_is_said() {
    let ground = Ground::new(&[("a.md", "x")]);
    std::fs::File::create(ground.root().join("large")).unwrap().set_len(50 << 20).unwrap();
    let findings = ground.open().search(None, &query("x")).await.unwrap();
    assert_eq!(findings.matches.len(), 1);
    let skipped = Skipped { path: "large".to_owned(), why: SkipReason::TooLarge };
    assert_eq!((findings.skipped.as_slice(), findings.skipped_count), (&[skipped][..], 1));
}

#[tokio::test]
async fn expressions_that_are_wrong_or_too_large_are_errors() {
    let project = Ground::new(&[("a.md", "x")]).open();
    for bad in ["(", "(?=x)", r"\p{Nothing}", "((((a{100}){100}){100}){100})", &"x".repeat(5000), &"(".repeat(400)] {
        let error = project.search(None, &query(bad)).await.unwrap_err();
        assert!(matches!(error, ProjectError::BadRegex { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_expression_that_would_take_for_ever_elsewhere_does_not_here() {
    let ground = Ground::new(&[("a.md", format!("{}b", "a".repeat(100_000)).as_str())]);
    assert!(lines(&ground.open(), &query("^(a+)+$")).await.is_empty());
}

#[tokio::test]
async fn a_search_sees_what_was_read_before() {
    let ground = Ground::new(&[("a.md", "one")]);
    let project = ground.open();
    text(&project, "a.md").await;
    ground.write("a.md", "two");
    assert_eq!(lines(&project, &query("one|two")).await, [line("a.md", 1, "one")]);
}
