use super::*;

fn links(text: &str) -> Vec<String> {
    let shown = |link: &Link| {
        let target = link.target_place.map(|place| &text[place.start..place.end]);
        let kind = if link.undefined {
            "undefined "
        } else if link.image {
            "image "
        } else {
            ""
        };
        format!("{}: {kind}{} «{}» {}", link.place.line, link.target, link.text, target.unwrap_or("-"))
    };
    parse(text).links.iter().map(shown).collect()
}

fn slugs(text: &str) -> Vec<String> {
    parse(text).headings.into_iter().map(|heading| heading.slug).collect()
}

#[test]
fn links_of_each_syntax_have_their_target_and_its_place() {
    for (text, expected) in [
        ("[a](b.md)", vec!["1: b.md «a» b.md"]),
        ("x [a `c`](<b c.md> \"t\") y", vec!["1: b c.md «a c» b c.md"]),
        ("[a](b\\_c.md)", vec!["1: b_c.md «a» -"]),
        ("![alt](p.png)", vec!["1: image p.png «alt» p.png"]),
        ("[![alt](p.png)](b.md)", vec!["1: b.md «alt» b.md", "1: image p.png «alt» p.png"]),
        ("[a][R]\n\n[r]: b.md 't'", vec!["1: b.md «a» b.md"]),
        ("[r][]\n[r]\n\n[r]: <b.md>", vec!["1: b.md «r» b.md", "2: b.md «r» b.md"]),
        ("[a][nope] and [nope][]", vec!["1: undefined nope «a» -", "1: undefined nope «nope» -"]),
        ("[x] is no link, nor `[a](b)`", vec![]),
        ("<https://x.example>", vec!["1: https://x.example «https://x.example» -"]),
        ("a\n<a href=\"b.md\">c</a>", vec!["2: b.md «c» b.md"]),
        ("<p>\n<img src=\"p.png\"\n alt=\"A\">\n</p>", vec!["2: image p.png «A» p.png"]),
        ("<source srcset=\"a.png 1x, b.png 2x\">", vec!["1: image a.png «» a.png", "1: image b.png «» b.png"]),
        ("<!-- [a](b) <a href=x> -->", vec![]),
        ("    [a](b.md)\n", vec![]),
        ("> - [a](b.md)\n>   [c](d.md)", vec!["1: b.md «a» b.md", "2: d.md «c» d.md"]),
        ("| a |\n|---|\n| [a](b.md) |", vec!["3: b.md «a» b.md"]),
        ("[](b.md)", vec!["1: b.md «» b.md"]),
    ] {
        assert_eq!(links(text), expected, "{text}");
    }
}

#[test]
fn headings_have_the_slugs_of_github() {
    for (text, expected) in [
        ("# One\n# One\nOne\n===\n", vec!["one", "one-1", "one-2"]),
        ("## The `run --all` [flag](x.md)\n", vec!["the-run---all-flag"]),
        ("## *Bold* & ![logo](x.png) end ##\n", vec!["bold---end"]),
        ("Two\nlines\n---\n", vec!["two-lines"]),
        ("<h1 align=\"center\">The\n <b>Tool</b></h1>\n\n## Use\n", vec!["the-tool", "use"]),
        ("> # Quoted\n", vec!["quoted"]),
        ("```\n# no\n```\n", vec![]),
        ("# ¿Qué? ✨ Über\n", vec!["qué--über"]),
    ] {
        assert_eq!(slugs(text), expected, "{text}");
    }
}

#[test]
fn places_are_found_by_headings_and_by_attributes() {
    let document = parse("# Set up\n\n<a id=\"One\"></a><a name='two'></a>\n\nText[^1].\n\n[^1]: Note.\n");
    for name in ["set-up", "Set-Up", "one", "two", "user-content-set-up", "fn-1"] {
        assert!(document.has_place(name), "{name}");
    }
    assert!(!document.has_place("setup") && !document.has_place(""));
}

#[test]
fn fences_have_their_language_their_text_and_its_first_line() {
    let text =
        "a\n\n```JSON,ignore title=x\n{\n  \"a\": 1\n}\n```\n\n- b\n  ```\n  c\n  ```\n\n    d\n\n~~~toml\n~~~\n";
    let fences: Vec<_> = parse(text)
        .fences
        .into_iter()
        .map(|fence| (fence.language, fence.info, fence.text, fence.place.line))
        .collect();
    let of = |language: &str, info: &str, text: &str, line| (language.into(), info.into(), text.into(), line);
    assert_eq!(
        fences,
        [of("json", "ignore title=x", "{\n  \"a\": 1\n}\n", 4), of("", "", "c\n", 11), of("toml", "", "", 17),]
    );
}

#[test]
fn text_and_code_have_their_places() {
    let text = "Run `make all` now\\_then\nor *later*.\n";
    let document = parse(text);
    let texts: Vec<_> = document.texts.iter().map(|piece| (piece.text.as_str(), piece.place.line)).collect();
    assert_eq!(texts, [("Run ", 1), (" now_then", 1), ("or ", 2), ("later", 2), (".", 2)]);
    assert_eq!(document.codes.len(), 1);
    let place = document.codes[0].place;
    assert_eq!((document.codes[0].text.as_str(), &text[place.start..place.end]), ("make all", "`make all`"));
}

#[test]
fn front_matter_is_skipped_and_lines_still_count() {
    let document = parse("---\ntitle: \"[a](b)\"\n---\n# H\n[c](d)\n");
    assert_eq!((document.links.len(), document.links[0].place.line, document.headings[0].place.line), (1, 5, 4));
    assert_eq!(links("\u{feff}---\na: 1\n---\n[c](d)"), ["4: d «c» d"]);
    assert_eq!(links("---\n\n[c](d)\n\n---\n"), ["3: d «c» d"]);
    assert_eq!(links("---\na: 1\n[c](d)\n"), ["3: d «c» d"]);
}

#[test]
fn what_is_nested_ten_thousand_times_is_read() {
    for marker in ["> ", "- ", "1. ", "* ", ">", "- > "] {
        let text = format!("{}[a](b.md)\n\n{}", marker.repeat(10_000), "x\n\n".repeat(10_000));
        assert_eq!(parse(&text).fences.len() + parse(&text).links.len(), 1, "{marker}");
    }
    let deep: String = (0..1_000).map(|depth| format!("{}- [a](b.md)\n", "  ".repeat(depth))).collect();
    assert_eq!(parse(&deep).links.len(), 1_000);
}

#[test]
fn hostile_text_takes_no_time_and_no_memory() {
    for piece in
        ["[", "![a", "<a href=", "[a][", "](", "`", "**a", "<", "![a](b", "[^1]: ", "| a ", "&", "<h1>a", "<!--"]
    {
        let document = parse(&piece.repeat(20_000));
        let kept: usize = document.links.iter().map(|link| link.text.len() + link.target.len()).sum();
        assert!(kept < 4_000_000, "{piece}: {kept}");
    }
    let pictures = format!("{}{}", "![a".repeat(5_000), "](b)".repeat(5_000));
    assert!(parse(&pictures).links.iter().map(|link| link.text.len()).sum::<usize>() < 100_000);
    for text in ["", "\u{feff}", "---", "---\n", "\0", "é\u{300}[\u{202e}](\u{0})", "[a](", "[a]:", "[a]: <"] {
        parse(text);
    }
}
