use super::*;
use crate::format::testing::{mangled, pieces};
use crate::model::{Fault, File, Origin, Requirement, Scope, Texts};

fn read(files: &[(&str, &str)]) -> File {
    let texts: Texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let (path, text) = files[0];
    (format_of(crate::model::name_of(path)).expect("a format").parse)(path, text, &texts)
}

fn asked(file: &File) -> &[Requirement] {
    &file.manifest.as_ref().expect("a manifest").requirements
}

fn short(file: &File) -> Vec<(&str, Option<&str>, Bound)> {
    asked(file).iter().map(|asked| (asked.name.as_str(), asked.range.as_deref(), asked.bound)).collect()
}

fn messages(file: &File) -> Vec<&str> {
    file.faults.iter().map(|fault| fault.message.as_str()).collect()
}

#[test]
fn files_are_known_by_their_names() {
    let names =
        ["a.csproj", "b.fsproj", "c.vbproj", "Directory.Packages.props", "Directory.Build.props", "packages.config"];
    assert!(names.iter().all(|name| format_of(name).is_some_and(|format| !format.lock)));
    assert!(format_of("packages.lock.json").is_some_and(|format| format.lock));
    assert!(["global.json", "x.props", "csproj", "package.lock.json"].iter().all(|name| format_of(name).is_none()));
}

#[test]
fn each_reference_has_its_line_version_and_scope() {
    let text = r#"<Project Sdk="Microsoft.NET.Sdk" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup><PackageId>Shop</PackageId><Version>2.1</Version><GrpcVersion>2.60.0</GrpcVersion>
    <PackageLicenseExpression>MIT</PackageLicenseExpression></PropertyGroup>
  <ItemGroup>
    <PackageReference Include="Newtonsoft.Json" Version="13.0.3" />
    <PackageReference Include="Grpc.Tools"><Version>$(GrpcVersion)</Version><PrivateAssets>All</PrivateAssets></PackageReference>
    <PackageReference Include="Serilog" version="3.*" Condition="'$(Configuration)'=='Debug'" />
    <!-- <PackageReference Include="Old" Version="1" /> -->
    <PackageReference Include="A;B" Version="[1.0,2.0)" />
    <PackageReference Include="Open" Version="*" />
  </ItemGroup>
  <Choose><When Condition="x"><ItemGroup><PackageReference Include="C" Version="1" /></ItemGroup></When></Choose>
</Project>"#;
    let file = read(&[("src/Shop.csproj", text)]);
    assert_eq!(messages(&file), Vec::<&str>::new());
    let found: Vec<_> = asked(&file).iter().map(|asked| (asked.name.as_str(), asked.line, asked.bound)).collect();
    assert_eq!(
        found,
        [
            ("Newtonsoft.Json", 5, Bound::Exact),
            ("Grpc.Tools", 6, Bound::Exact),
            ("Serilog", 7, Bound::Bounded),
            ("A", 9, Bound::Bounded),
            ("B", 9, Bound::Bounded),
            ("Open", 10, Bound::Open),
            ("C", 12, Bound::Exact),
        ]
    );
    assert_eq!((asked(&file)[1].range.as_deref(), asked(&file)[1].scope), (Some("2.60.0"), Scope::Build));
    assert_eq!(asked(&file)[2].condition.as_deref(), Some("'$(Configuration)'=='Debug'"));
    assert_eq!(asked(&file)[6].condition.as_deref(), Some("x"));
    let manifest = file.manifest.as_ref().expect("a manifest");
    assert_eq!(
        (manifest.name.as_deref(), manifest.version.as_deref(), manifest.license.as_deref()),
        (Some("Shop"), Some("2.1"), Some("MIT"))
    );
    assert_eq!(file.format, "csproj");
}

#[test]
fn central_versions_come_from_the_nearest_file_above() {
    let project = r#"<Project><ItemGroup><PackageReference Include="serilog" />
<PackageReference Include="B" VersionOverride="9" /><PackageReference Include="Missing" /></ItemGroup></Project>"#;
    let nearest = r#"<Project>
  <Import Project="$([MSBuild]::GetPathOfFileAbove(Directory.Packages.props, $(MSBuildThisFileDirectory)..))" />
  <PropertyGroup><V>4.0</V></PropertyGroup>
  <ItemGroup><PackageVersion Update="Serilog" Version="$(V).1" /><PackageVersion Include="B" Version="1" />
  <GlobalPackageReference Include="Analyzer" Version="3" /></ItemGroup></Project>"#;
    let outer = r#"<Project><ItemGroup><PackageVersion Include="Serilog" Version="1.0" /></ItemGroup></Project>"#;
    let files =
        [("src/a/A.csproj", project), ("src/Directory.Packages.props", nearest), ("Directory.Packages.props", outer)];
    let file = read(&files);
    assert_eq!(
        short(&file),
        [("serilog", Some("4.0.1"), Bound::Exact), ("B", Some("9"), Bound::Exact), ("Missing", None, Bound::Unknown)]
    );
    assert_eq!(
        messages(&file),
        ["1 package names no version, and Directory.Packages.props has none for them: Missing"]
    );
    let includes: Vec<_> =
        file.manifest.iter().flat_map(|manifest| &manifest.includes).map(|one| one.path.as_str()).collect();
    assert_eq!(includes, ["src/Directory.Packages.props", "Directory.Packages.props"]);

    let central = read(&files[1..]);
    assert_eq!(short(&central), [("Analyzer", Some("3"), Bound::Exact)]);
    assert_eq!(asked(&central)[0].scope, Scope::Build);
}

#[test]
fn versions_without_a_central_file_are_unknown_and_said_once() {
    let text = r#"<Project><ItemGroup>
<PackageReference Include="A" /><PackageReference Include="B" /></ItemGroup></Project>"#;
    let file = read(&[("A.csproj", text)]);
    assert_eq!(short(&file), [("A", None, Bound::Unknown), ("B", None, Bound::Unknown)]);
    let message = "2 packages name no version, and no Directory.Packages.props was found: A, B";
    assert_eq!(file.faults, [Fault::new(Some(2), message, false)]);
}

#[test]
fn a_package_with_several_central_versions_is_asked_for_in_each() {
    let project = r#"<Project><ItemGroup><PackageReference Include="A" /></ItemGroup></Project>"#;
    let central = r#"<Project><ItemGroup><PackageVersion Include="A" Version="1" Condition="old" /></ItemGroup>
<ItemGroup Condition="new"><PackageVersion Include="A" Version="2" /></ItemGroup></Project>"#;
    let file = read(&[("A.csproj", project), ("Directory.Packages.props", central)]);
    assert_eq!(short(&file), [("A", Some("1"), Bound::Exact), ("A", Some("2"), Bound::Exact)]);
    assert_eq!(asked(&file)[1].condition.as_deref(), Some("new"));
}

#[test]
fn a_property_that_depends_on_a_condition_is_not_guessed() {
    let text = r#"<Project><PropertyGroup><A Condition="'$(A)' == ''">1</A><B>1</B><B Condition="x">2</B>
<C>$([System.String]::Copy(1))</C></PropertyGroup>
<ItemGroup><PackageReference Include="A" Version="$(a).0" /><PackageReference Include="B" Version="$(B)" />
<PackageReference Include="C" Version="$(C)" /><PackageReference Include="D" Version="$(D)" /></ItemGroup></Project>"#;
    let file = read(&[("A.csproj", text)]);
    assert_eq!(
        short(&file),
        [
            ("A", Some("1.0"), Bound::Exact),
            ("B", Some("$(B)"), Bound::Unknown),
            ("C", Some("$(C)"), Bound::Unknown),
            ("D", Some("$(D)"), Bound::Unknown),
        ]
    );
    assert_eq!(file.faults.len(), 3);
    assert!(messages(&file).iter().any(|message| message.contains("nothing in the project sets `D`")));
}

#[test]
fn properties_of_the_build_are_shared_and_bombs_of_them_end() {
    let mut bomb = "<L0>xxxxxxxxxxxxxxxx</L0><Shared>5</Shared>".to_owned();
    for level in 1..30 {
        bomb += &format!("<L{level}>{}</L{level}>", format!("$(L{})", level - 1).repeat(10));
    }
    let props = format!("<Project><PropertyGroup>{bomb}</PropertyGroup></Project>");
    let text = r#"<Project><ItemGroup><PackageReference Include="A" Version="$(Shared).1" />
<PackageReference Include="B" Version="$(L29)" /></ItemGroup></Project>"#;
    let file = read(&[("a/A.csproj", text), ("Directory.Build.props", &props)]);
    assert_eq!(short(&file), [("A", Some("5.1"), Bound::Exact), ("B", Some("$(L29)"), Bound::Unknown)]);
}

#[test]
fn a_reference_can_be_changed_and_removed() {
    let text = r#"<Project><ItemGroup><PackageReference Include="A" Version="1" /><PackageReference Include="B" Version="1" />
<PackageReference Update="a" Version="2" /><PackageReference Remove="b" /><PackageReference Remove="c" /></ItemGroup></Project>"#;
    assert_eq!(short(&read(&[("A.csproj", text)])), [("A", Some("2"), Bound::Exact)]);
}

#[test]
fn projects_of_the_house_sdks_and_tests_are_told_apart() {
    let text = r#"<Project Sdk="Microsoft.NET.Sdk;Aspire.Sdk/9.0.0"><ItemGroup><ProjectReference Include="..\lib\Lib.csproj" />
<ProjectReference Include="..\gone\Gone.csproj" /><PackageReference Include="Microsoft.NET.Test.Sdk" Version="17.0.0" /></ItemGroup></Project>"#;
    let file = read(&[("t/T.csproj", text), ("lib/Lib.csproj", "<Project/>")]);
    let found: Vec<_> =
        asked(&file).iter().map(|asked| (asked.name.as_str(), asked.origin.clone(), asked.scope)).collect();
    assert_eq!(
        found,
        [
            ("Aspire.Sdk", Origin::Registry(None), Scope::Build),
            ("Lib", Origin::Workspace, Scope::Dev),
            ("Gone", Origin::Path("../gone/Gone.csproj".to_owned()), Scope::Dev),
            ("Microsoft.NET.Test.Sdk", Origin::Registry(None), Scope::Dev),
        ]
    );
}

#[test]
fn what_is_imported_and_not_there_is_said_and_looked_for() {
    let text = r#"<Project><Import Project="..\common.props" /><Import Project="$(MSBuildToolsPath)\x.targets" />
<Target Name="t"><ItemGroup><PackageReference Include="late" Version="1" /></ItemGroup></Target></Project>"#;
    let file = read(&[("a/A.csproj", text)]);
    assert_eq!(file.faults.len(), 2, "{:?}", file.faults);
    assert!(messages(&file).iter().any(|message| message.starts_with("it imports ../common.props")));
    assert_eq!(file.manifest.as_ref().expect("a manifest").includes[0].path, "common.props");
    let common = r#"<Project><PropertyGroup><V>1</V></PropertyGroup></Project>"#;
    assert_eq!(read(&[("a/A.csproj", text), ("common.props", common)]).faults.len(), 1);
}

#[test]
fn a_packages_config_is_asked_for_and_chosen_at_once() {
    let text = r#"<?xml version="1.0" encoding="utf-8"?>
<packages>
  <package id="jQuery" version="3.7.1" targetFramework="net48" />
  <package id="StyleCop" version="1.0" developmentDependency="true" />
  <package id="NoVersion" />
</packages>"#;
    let file = read(&[("packages.config", text)]);
    assert_eq!(short(&file), [("jQuery", Some("3.7.1"), Bound::Exact), ("StyleCop", Some("1.0"), Bound::Exact)]);
    let lock = file.lock.as_ref().expect("a lock");
    assert_eq!((lock.packages[0].line, lock.packages[1].scope, lock.graph), (3, Scope::Build, false));
    assert_eq!(file.faults[0].line, Some(5));
}

const LOCK: &str = r#"{
  "version": 2,
  "dependencies": {
    "net8.0": {
      "A": { "type": "Direct", "requested": "[1.0.0, )", "resolved": "1.0.0", "contentHash": "x==",
        "dependencies": { "b": "2.0.0" } },
      "B": { "type": "Transitive", "resolved": "2.0.0", "contentHash": "y==" },
      "lib": { "type": "Project", "dependencies": { "C": "[1.0.0, )" } },
      "C": { "type": "CentralTransitive", "requested": "[1.0.0, )", "resolved": "1.0.0" }
    },
    "net8.0/linux-x64": {
      "B": { "type": "Transitive", "resolved": "2.0.0", "dependencies": { "C": "1.0.0" } }
    },
    "net48": {
      "A": { "type": "Direct", "resolved": "1.0.0", "dependencies": { "B": "1.0.0", "Gone": "1" } },
      "B": { "type": "Transitive", "resolved": "1.0.0" }
    }
  }
}"#;

#[test]
fn a_lock_has_the_packages_of_all_frameworks_with_what_they_need() {
    let file = read(&[("packages.lock.json", LOCK)]);
    assert_eq!(file.format, "packages.lock.json v2");
    let lock = file.lock.as_ref().expect("a lock");
    let found: Vec<_> = lock
        .packages
        .iter()
        .map(|package| {
            (package.name.as_str(), package.version.as_str(), package.line, package.hashed, package.needs.clone())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("A", "1.0.0", 5, true, vec![1, 4]),
            ("B", "2.0.0", 7, true, vec![3]),
            ("lib", "", 8, false, vec![3]),
            ("C", "1.0.0", 9, false, vec![]),
            ("B", "1.0.0", 16, false, vec![]),
        ]
    );
    assert_eq!((lock.direct.as_slice(), lock.graph), (&[0, 2][..], true));
    assert_eq!(lock.packages[2].origin, Origin::Workspace);
    assert_eq!(messages(&file), ["Gone is needed by A and does not stand in net48"]);
}

#[test]
fn broken_locks_are_faults() {
    let whole = |text: &str| {
        let file = read(&[("packages.lock.json", text)]);
        file.faults.iter().map(|fault| (fault.whole, fault.line)).collect::<Vec<_>>()
    };
    assert_eq!(whole("{\n  \"version\": 1,\n"), [(true, Some(3))]);
    assert_eq!(whole("{\n  \"version\": 9\n}"), [(true, Some(2))]);
    assert_eq!(whole("[]"), [(true, Some(1))]);
    assert_eq!(whole("{\"version\": 1, \"dependencies\": []}"), [(false, Some(1))]);
    assert_eq!(whole("{\"version\": 1, \"dependencies\": {\"f\": {\"A\": 3}}}"), [(false, Some(1))]);
}

#[test]
fn broken_and_hostile_projects_are_faults() {
    let whole = |path: &str, text: &str| {
        read(&[(path, text)]).faults.iter().map(|fault| (fault.whole, fault.line)).collect::<Vec<_>>()
    };
    assert_eq!(whole("a.csproj", "<Project>\n<ItemGroup></Project>"), [(true, Some(2))]);
    assert_eq!(whole("a.csproj", "<!DOCTYPE p><Project/>"), [(true, Some(1))]);
    assert_eq!(whole("a.csproj", "<html/>"), [(true, Some(1))]);
    assert_eq!(whole("packages.config", "<html/>"), [(true, Some(1))]);
    assert_eq!(whole("a.csproj", "<Project><ItemGroup><PackageReference /></ItemGroup></Project>"), [(false, Some(1))]);
    let circle = r#"<Project><Import Project="b.props" /></Project>"#;
    let back = r#"<Project><Import Project="A.csproj" /><Import Project="b.props" /></Project>"#;
    assert_eq!(read(&[("A.csproj", circle), ("b.props", back)]).faults, []);
}

#[test]
fn no_text_makes_a_reader_panic() {
    let words = [
        "<Project>",
        "</Project>",
        "<ItemGroup>",
        "</ItemGroup>",
        "<PackageReference Include='A'",
        "/>",
        "Update='",
        "Version=\"$(",
        ")\"",
        "<PropertyGroup>",
        "</PropertyGroup>",
        "<V>",
        "</V>",
        "<Import Project='",
        "<Choose>",
        "é",
        "\n",
        "'",
        ";",
        "$(",
        "Condition=''",
    ];
    pieces(&words, |text| {
        read(&[("a/a.csproj", text), ("Directory.Packages.props", text)]);
        read(&[("packages.config", text)]);
    });
    let project = r#"<Project><Import Project="..\x.props"/><ItemGroup><PackageReference Include="A" Version="$(B)"/></ItemGroup></Project>"#;
    mangled(project, |text| {
        read(&[("a/a.csproj", text), ("x.props", text)]);
    });
    mangled(LOCK, |text| {
        read(&[("packages.lock.json", text)]);
    });
}

#[test]
fn twenty_thousand_entries_are_read_in_linear_time() {
    let references = |act: &str, end: &str| {
        (0..20_000).map(|at| format!("<PackageReference {act}='A{at}'{end}/>")).collect::<String>()
    };
    let same = "<PackageReference Include='B'/><PackageReference Update='B' Version='1'/>".repeat(20_000);
    let text = format!(
        "<Project><ItemGroup>{}{}{same}</ItemGroup></Project>",
        references("Include", ""),
        references("Update", " Version='2'"),
    );
    let file = read(&[("a.csproj", &text)]);
    assert_eq!(asked(&file).iter().filter(|asked| asked.bound == Bound::Exact).count(), 40_000);
}

#[test]
fn ranges_allow_what_nugets_rules_say() {
    let expected = [
        ("1.0", Bound::Exact),
        ("1.0.0-beta", Bound::Exact),
        ("[1.0]", Bound::Exact),
        ("[1.0, 1.0]", Bound::Exact),
        ("1.*", Bound::Bounded),
        ("1.0.0-*", Bound::Bounded),
        ("[1.0,2.0)", Bound::Bounded),
        ("(,1.0]", Bound::Bounded),
        ("(1.0,)", Bound::Open),
        ("[1.0, )", Bound::Open),
        ("*", Bound::Open),
        ("", Bound::Open),
        ("$(V)", Bound::Unknown),
        ("[1.0", Bound::Unknown),
        ("(1,2,3)", Bound::Unknown),
        ("[]", Bound::Unknown),
    ];
    assert_eq!(expected.map(|(range, _)| (range, bound_of(range))), expected);
}

/// The projects of the corpus, against a count of what stands in their text.
#[test]
fn every_reference_of_the_corpus_is_found() {
    let Ok(corpus) = std::env::var("CONVOKE_CORPUS") else {
        eprintln!("skipped: CONVOKE_CORPUS does not name the corpus");
        return;
    };
    let root = std::path::Path::new(&corpus).join("polyglot-otel-demo");
    let mut all = 0;
    for path in ["src/accounting/Accounting.csproj", "src/cart/src/cart.csproj", "src/cart/tests/cart.tests.csproj"] {
        let text = std::fs::read_to_string(root.join(path)).expect("a project");
        let lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains("<PackageReference"));
        let counted: Vec<u32> = lines.map(|(at, _)| at).collect();
        let file = read(&[(path, &text)]);
        let of_registry = asked(&file).iter().filter(|asked| asked.origin == Origin::Registry(None));
        assert_eq!(of_registry.map(|asked| asked.line).collect::<Vec<_>>(), counted, "{path}");
        all += counted.len();
    }
    assert_eq!(all, 31);
}
