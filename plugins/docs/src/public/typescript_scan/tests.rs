//! Texts of TypeScript, and what is seen in them.

use super::*;

fn declared(text: &str) -> Vec<String> {
    let module = scan(text).expect("TypeScript");
    module
        .declared
        .iter()
        .map(|one| {
            let marks = [(one.exported, "export "), (one.documented, "doc ")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("{}:{marks}{}", one.line, one.name)
        })
        .collect()
}

fn exports(exports: &[Export]) -> Vec<String> {
    exports
        .iter()
        .map(|export| format!("{}|{}|{}", export.from.as_deref().unwrap_or(""), export.name, export.alias))
        .collect()
}

#[test]
fn declarations_have_the_comment_before_them() {
    let text = "/** A */\nexport function a() { function no() {} }\n// B\nexport const b = () => {};\n/** C */\n@Deco({ x: 1 })\n@other.one\nexport abstract class C { /** m */ m() {} }\n/* D */\nexport default class D {}\nexport type E = { a: string };\ninterface F {}\n/** */\nexport const enum G { A }\nexport async function* h() {}\n/** I */ export declare const i: string\nlet j = 1\n";
    assert_eq!(
        declared(text),
        [
            "2:export doc a",
            "4:export b",
            "8:export doc C",
            "10:export D",
            "11:export E",
            "12:F",
            "14:export G",
            "15:export h",
            "16:export doc i",
            "17:j"
        ]
    );
}

#[test]
fn exports_and_imports_name_their_files() {
    let text = "import X, { a as b, type C } from './one'\nimport type { D } from \"./two\";\nimport './side';\nexport * from './three';\nexport * as n from './four';\nexport { b, D as E, type F } ;\nexport type { G } from './five.js'\nexport default X;\n";
    let module = scan(text).expect("TypeScript");
    assert_eq!(exports(&module.imports), ["./one|a|b", "./one|C|C", "./one|default|X", "./two|D|D"]);
    assert_eq!(exports(&module.exports), ["./three|*|*", "|b|b", "|D|E", "|F|F", "./five.js|G|G", "|X|default"]);
    assert_eq!(declared(text), [""; 0]);
    assert_eq!(declared("export default () => 1;\nexport default { a: 1 }"), ["1:export default", "2:export default"]);
}

#[test]
fn strings_templates_and_expressions_hide_what_is_in_them() {
    let text = "const a = `x ${b ? `}` : { c: \"`\" }} export const no = 1`;\nconst d = /[/\"'`{]\\//.test(e) / 2;\nconst f = g[0] / h; const s = 'it\\'s {';\nexport const i = x < 1 ? '}' : \"{\"; // {\n/* export const no */\nexport const j = 1\n";
    assert_eq!(declared(text), ["1:a", "2:d", "3:f", "4:export i", "6:export j"]);
}

#[test]
fn what_can_not_be_understood_is_said() {
    for text in ["{", "}", "(]", "/* x", "`${", "`"] {
        assert!(scan(text).is_err(), "{text}");
    }
    for text in ["", "'", "\"\\", "/", "@", "@a.", "export", "export {", "import", "export { a as", "é"] {
        let _ = scan(text);
    }
    let deep = format!("const a = {}{};\nexport const b = 1;", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(declared(&deep), ["1:a", "2:export b"]);
}
