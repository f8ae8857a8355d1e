use super::*;
use crate::format::testing::{mangled, pieces};

fn texts(files: &[(&str, &str)]) -> Texts {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

/// The first file, read among all of them.
fn read(files: &[(&str, &str)]) -> File {
    parse(files[0].0, files[0].1, &texts(files))
}

fn asked(file: &File) -> &[Requirement] {
    &file.manifest.as_ref().expect("a manifest").requirements
}

/// Name, range and bound of each requirement.
fn short(file: &File) -> Vec<(&str, Option<&str>, Bound)> {
    asked(file).iter().map(|asked| (asked.name.as_str(), asked.range.as_deref(), asked.bound)).collect()
}

fn messages(file: &File) -> Vec<&str> {
    file.faults.iter().map(|fault| fault.message.as_str()).collect()
}

fn dependency(artifact: &str, rest: &str) -> String {
    format!("<dependency><groupId>g</groupId><artifactId>{artifact}</artifactId>{rest}</dependency>")
}

#[test]
fn each_dependency_has_its_line_scope_and_bound() {
    let text = r#"<?xml version="1.0"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <groupId>org.example</groupId>
  <artifactId>shop</artifactId>
  <version>1.0</version>
  <licenses><license><name>Apache-2.0</name></license></licenses>
  <modules><module>core</module></modules>
  <properties><guava.version>33.0.0-jre</guava.version></properties>
  <dependencies>
    <dependency>
      <groupId>com.google.guava</groupId><artifactId>guava</artifactId><version>${guava.version}</version>
      <exclusions><exclusion><groupId>x</groupId><artifactId>y</artifactId></exclusion></exclusions>
    </dependency>
    <dependency><groupId>junit</groupId><artifactId>junit</artifactId><version>[4.13,5)</version><scope>test</scope></dependency>
    <dependency><groupId>javax.servlet</groupId><artifactId>api</artifactId><version>LATEST</version><scope>provided</scope></dependency>
    <dependency><groupId>g</groupId><artifactId>o</artifactId><version>2-SNAPSHOT</version><optional>true</optional></dependency>
    <dependency><groupId>g</groupId><artifactId>s</artifactId><version>1</version><scope>system</scope><systemPath>lib/s.jar</systemPath></dependency>
  </dependencies>
  <build><plugins><plugin><artifactId>maven-jar-plugin</artifactId><version>3.4.1</version></plugin></plugins></build>
</project>"#;
    let file = read(&[("pom.xml", text)]);
    assert_eq!(file.faults, []);
    let found: Vec<_> =
        asked(&file).iter().map(|asked| (asked.name.as_str(), asked.line, asked.scope, asked.bound)).collect();
    assert_eq!(
        found,
        [
            ("com.google.guava:guava", 10, Scope::Normal, Bound::Exact),
            ("junit:junit", 14, Scope::Dev, Bound::Bounded),
            ("javax.servlet:api", 15, Scope::Peer, Bound::Open),
            ("g:o", 16, Scope::Optional, Bound::Bounded),
            ("g:s", 17, Scope::Normal, Bound::Exact),
            ("org.apache.maven.plugins:maven-jar-plugin", 19, Scope::Build, Bound::Exact),
        ]
    );
    assert_eq!(asked(&file)[0].range.as_deref(), Some("33.0.0-jre"));
    assert_eq!(asked(&file)[4].origin, Origin::Path("lib/s.jar".to_owned()));
    let manifest = file.manifest.expect("a manifest");
    assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("org.example:shop"), Some("1.0")));
    assert_eq!(
        (manifest.license.as_deref(), manifest.members.as_slice()),
        (Some("Apache-2.0"), &["core".to_owned()][..])
    );
}

const PARENT: &str = "<project><groupId>g</groupId><artifactId>p</artifactId><version>7</version>
  <properties><lib>1.0</lib><nested>${lib}.${project.version}</nested></properties>
  <dependencyManagement><dependencies>
    <dependency><groupId>x</groupId><artifactId>lib</artifactId><version>${lib}</version><scope>test</scope></dependency>
    <dependency><groupId>x</groupId><artifactId>nested</artifactId><version>${nested}</version></dependency>
  </dependencies></dependencyManagement></project>";

fn child(rest: &str) -> String {
    format!(
        "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>7</version></parent>
<artifactId>c</artifactId>{rest}</project>"
    )
}

const LIBS: &str = "<dependencies><dependency><groupId>x</groupId><artifactId>lib</artifactId></dependency>
<dependency><groupId>x</groupId><artifactId>nested</artifactId></dependency></dependencies>";

#[test]
fn a_parent_in_the_project_decides_versions_and_its_child_the_properties() {
    let file =
        read(&[("c/pom.xml", &child(&format!("<properties><lib>2</lib></properties>{LIBS}"))), ("pom.xml", PARENT)]);
    assert_eq!(short(&file), [("x:lib", Some("2"), Bound::Exact), ("x:nested", Some("2.7"), Bound::Exact)]);
    assert_eq!(asked(&file)[0].scope, Scope::Dev, "the scope is managed too");
    assert_eq!(file.faults, []);
    let manifest = file.manifest.expect("a manifest");
    assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("g:c"), Some("7")));
    assert_eq!(manifest.includes, [Include { path: "pom.xml".to_owned(), line: 1, constraint: false }]);
}

#[test]
fn a_parent_that_is_not_there_leaves_its_decisions_unknown() {
    let file = read(&[("c/pom.xml", &child(LIBS))]);
    assert_eq!(
        short(&file),
        [("g:p", Some("7"), Bound::Exact), ("x:lib", None, Bound::Unknown), ("x:nested", None, Bound::Unknown)]
    );
    assert_eq!(file.faults.len(), 1, "{:?}", file.faults);
    assert_eq!(file.faults[0].line, Some(1));
    assert!(messages(&file)[0].contains("the parent g:p:7 is not in the project"), "{:?}", messages(&file));
    assert!(messages(&file)[0].contains("versions of 2"), "{:?}", messages(&file));
}

#[test]
fn a_file_at_the_place_of_the_parent_that_is_another_one_is_not_it() {
    let other = "<project><groupId>g</groupId><artifactId>other</artifactId><version>7</version></project>";
    let file = read(&[("c/pom.xml", &child(LIBS)), ("pom.xml", other)]);
    assert!(messages(&file)[0].contains("is not in the project"), "{:?}", messages(&file));
    let nowhere = child(LIBS).replace("</parent>", "<relativePath/></parent>");
    assert_eq!(read(&[("c/pom.xml", &nowhere), ("pom.xml", PARENT)]).faults.len(), 1);
}

#[test]
fn parents_in_a_circle_end() {
    let circle = |own: &str, parent: &str, path: &str| {
        format!(
            "<project><parent><groupId>g</groupId><artifactId>{parent}</artifactId><version>1</version><relativePath>{path}</relativePath></parent><artifactId>{own}</artifactId></project>"
        )
    };
    let file = read(&[("a/pom.xml", &circle("a", "b", "../b")), ("b/pom.xml", &circle("b", "a", "../a/pom.xml"))]);
    assert!(messages(&file)[0].contains("circle"), "{:?}", messages(&file));
}

#[test]
fn properties_in_a_circle_and_bombs_of_them_end() {
    let version = |name: &str| dependency(name, &format!("<version>${{{name}}}</version>"));
    let mut properties = "<a>${b}</a><b>${a}</b><l0>xxxxxxxxxxxxxxxx</l0>".to_owned();
    for level in 1..20 {
        properties += &format!("<l{level}>{}</l{level}>", format!("${{l{}}}", level - 1).repeat(10));
    }
    let text = format!(
        "<project><properties>{properties}</properties><dependencies>{}{}{}</dependencies></project>",
        version("a"),
        version("l19"),
        version("missing"),
    );
    let file = read(&[("pom.xml", &text)]);
    assert!(short(&file).iter().all(|(_, _, bound)| *bound == Bound::Unknown));
    assert_eq!(short(&file)[2].1, Some("${missing}"), "what is unknown stands as it is written");
    assert_eq!(
        messages(&file),
        [
            "nothing in the project sets `missing`, so it is unknown",
            "the values named here rest on each other without end, or are too long, and with it 2 versions"
        ]
    );
}

#[test]
fn an_import_is_read_from_its_own_house_and_unknown_from_elsewhere() {
    let import = |artifact: &str| dependency(artifact, "<version>1</version><type>pom</type><scope>import</scope>");
    let text = |artifact: &str| {
        format!(
            "<project><groupId>g</groupId><artifactId>a</artifactId><dependencyManagement><dependencies>{}</dependencies></dependencyManagement>
<dependencies><dependency><groupId>x</groupId><artifactId>lib</artifactId></dependency></dependencies></project>",
            import(artifact)
        )
    };
    let bom = ("bom/pom.xml", PARENT);
    let found = read(&[("a/pom.xml", &text("p")), bom]);
    assert_eq!(short(&found)[0], ("x:lib", Some("1.0"), Bound::Exact));
    assert_eq!((found.faults.len(), asked(&found)[1].scope), (0, Scope::Build));
    let missing = read(&[("a/pom.xml", &text("elsewhere")), bom]);
    assert_eq!(short(&missing)[0], ("x:lib", None, Bound::Unknown));
    assert!(messages(&missing)[0].starts_with("g:elsewhere, whose versions are imported, is not in the project"));
}

#[test]
fn a_project_of_the_same_house_comes_from_nowhere_else() {
    let text = format!(
        "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><dependencies>{}{}</dependencies></project>",
        dependency("b", "<version>${project.version}</version>"),
        dependency("c", "<version>${project.version}</version>"),
    );
    let other = "<project><groupId>g</groupId><artifactId>b</artifactId><version>1</version></project>";
    let file = read(&[("a/pom.xml", &text), ("lib/pom.xml", other)]);
    let origins: Vec<_> = asked(&file).iter().map(|asked| asked.origin.clone()).collect();
    assert_eq!(origins, [Origin::Workspace, Origin::Registry(None)]);
}

#[test]
fn a_profile_has_its_own_values_and_is_a_condition() {
    let text = format!(
        "<project><properties><v>1</v></properties><profiles><profile><id>ci</id><properties><v>2</v></properties>
<modules><module>it</module></modules><dependencies>{}</dependencies></profile></profiles><dependencies>{}</dependencies></project>",
        dependency("a", "<version>${v}</version>"),
        dependency("b", "<version>${v}</version>"),
    );
    let file = read(&[("pom.xml", &text)]);
    assert_eq!(short(&file), [("g:b", Some("1"), Bound::Exact), ("g:a", Some("2"), Bound::Exact)]);
    assert_eq!(asked(&file)[1].condition.as_deref(), Some("profile ci"));
    assert_eq!(file.manifest.expect("a manifest").members, ["it"]);
}

#[test]
fn what_nobody_decides_is_said() {
    let text = format!(
        "<project><dependencies>{}<dependency><artifactId>x</artifactId></dependency></dependencies>
<build><plugins><plugin><artifactId>p</artifactId></plugin></plugins></build></project>",
        dependency("a", "")
    );
    let file = read(&[("pom.xml", &text)]);
    assert_eq!(short(&file), [("g:a", None, Bound::Unknown), ("org.apache.maven.plugins:p", None, Bound::Open)]);
    assert_eq!(file.faults.len(), 2);
    assert!(messages(&file)[0].contains("g:a has no version"), "{:?}", messages(&file));
}

#[test]
fn broken_and_hostile_files_are_faults() {
    let whole = |text: &str| {
        read(&[("pom.xml", text)]).faults.iter().map(|fault| (fault.whole, fault.line)).collect::<Vec<_>>()
    };
    assert_eq!(whole("<project>\n<dependencies></project>"), [(true, Some(2))]);
    assert_eq!(whole("<!DOCTYPE p [<!ENTITY a 'b'>]><project/>"), [(true, Some(1))]);
    assert_eq!(whole("<settings/>"), [(true, Some(1))]);
    assert_eq!(whole(""), [(true, None)]);
    assert_eq!(whole("<project/>"), []);
}

#[test]
fn no_text_makes_the_reader_panic() {
    let words = [
        "<project>",
        "</project>",
        "<parent>",
        "</parent>",
        "<dependencies>",
        "</dependencies>",
        "<dependency>",
        "</dependency>",
        "<groupId>",
        "</groupId>",
        "${",
        "}",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?",
        "?>",
        "<!",
        "é",
        "&amp;",
        "&x;",
        "\n",
        "\0",
        "'",
        "=",
    ];
    pieces(&words, |text| {
        read(&[("a/pom.xml", text), ("pom.xml", text)]);
        read(&[("a/pom.xml", &child(text)), ("pom.xml", PARENT)]);
    });
    mangled(&child(LIBS), |text| {
        read(&[("c/pom.xml", text), ("pom.xml", PARENT)]);
    });
}

#[test]
fn twenty_thousand_entries_are_read_in_linear_time() {
    let entries: String = (0..20_000).map(|at| dependency(&format!("a{at}"), "<version>${v}</version>")).collect();
    let unmanaged: String = (0..20_000).map(|at| dependency(&format!("a{at}"), "")).collect();
    let text = format!(
        "<project><properties><v>1</v></properties><dependencyManagement><dependencies>{entries}</dependencies></dependencyManagement>
<dependencies>{unmanaged}</dependencies></project>"
    );
    let file = read(&[("pom.xml", &text)]);
    assert_eq!(asked(&file).iter().filter(|asked| asked.bound == Bound::Exact).count(), 20_000);
}

#[test]
fn ranges_allow_what_mavens_rules_say() {
    let expected = [
        ("1.0", Bound::Exact),
        ("[1.0]", Bound::Exact),
        ("1.0-SNAPSHOT", Bound::Bounded),
        ("(,1.0]", Bound::Bounded),
        ("[1.2,1.3]", Bound::Bounded),
        ("[1.0,2.0)", Bound::Bounded),
        ("[1.5,)", Bound::Open),
        ("(,1.0],[1.2,)", Bound::Open),
        ("(,1.1),(1.1,2)", Bound::Bounded),
        ("[1],[2]", Bound::Bounded),
        ("RELEASE", Bound::Open),
        ("${x}", Bound::Unknown),
        ("[1.0", Bound::Unknown),
        ("[1,2,3]", Bound::Unknown),
        ("[]", Bound::Unknown),
        ("1,2", Bound::Unknown),
        ("[ä", Bound::Unknown),
    ];
    assert_eq!(expected.map(|(range, _)| (range, bound_of(range))), expected);
}
