use super::*;
use crate::format::testing::{mangled, pieces};
use crate::model::{File, Origin, Requirement, Texts, name_of};

fn read(files: &[(&str, &str)]) -> File {
    let texts: Texts = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let (path, text) = files[0];
    (format_of(name_of(path)).expect("a format").parse)(path, text, &texts)
}

fn asked(file: &File) -> &[Requirement] {
    &file.manifest.as_ref().expect("a manifest").requirements
}

/// Name, range, line and scope of each requirement.
fn short(file: &File) -> Vec<(&str, &str, u32, Scope)> {
    let short = |asked: &'_ Requirement| (asked.line, asked.scope);
    asked(file)
        .iter()
        .map(|asked| (asked.name.as_str(), asked.range.as_deref().unwrap_or("-"), short(asked).0, short(asked).1))
        .collect()
}

fn messages(file: &File) -> Vec<&str> {
    file.faults.iter().map(|fault| fault.message.as_str()).collect()
}

#[test]
fn files_are_known_by_their_names() {
    let locks = ["gradle.lockfile", "buildscript-gradle.lockfile", "compileClasspath.lockfile"];
    assert!(locks.iter().all(|name| format_of(name).is_some_and(|format| format.lock)));
    let manifests =
        ["build.gradle", "build.gradle.kts", "settings.gradle", "java-conventions.gradle.kts", "libs.versions.toml"];
    assert!(manifests.iter().all(|name| format_of(name).is_some_and(|format| !format.lock)));
    assert!(["gradle.properties", "versions.toml", "x.lockfile"].iter().all(|name| format_of(name).is_none()));
}

#[test]
fn a_lock_has_a_package_on_a_line_and_its_configurations_say_for_what() {
    let text = "# This is a Gradle generated file for dependency locking.
com.google.guava:guava:33.0.0-jre=compileClasspath,testCompileClasspath
junit:junit:4.13.2=testCompileClasspath,testRuntimeClasspath
org.projectlombok:lombok:1.18.30=annotationProcessor
nonsense
empty=kapt
";
    let file = read(&[("gradle.lockfile", text)]);
    let lock = file.lock.as_ref().expect("a lock");
    let found: Vec<_> =
        lock.packages.iter().map(|one| (one.name.as_str(), one.version.as_str(), one.line, one.scope)).collect();
    assert_eq!(
        found,
        [
            ("com.google.guava:guava", "33.0.0-jre", 2, Scope::Normal),
            ("junit:junit", "4.13.2", 3, Scope::Dev),
            ("org.projectlombok:lombok", "1.18.30", 4, Scope::Build),
        ]
    );
    assert_eq!(file.faults.iter().map(|fault| (fault.line, fault.whole)).collect::<Vec<_>>(), [(Some(5), false)]);
    assert!(!lock.graph && lock.direct.is_empty());
    let older = read(&[("gradle/dependency-locks/testCompileClasspath.lockfile", "junit:junit:4.13.2\n")]);
    assert_eq!(older.lock.expect("a lock").packages[0].scope, Scope::Dev);
}

const CATALOG: &str = r#"[versions]
kotlin = "1.9.24"
guava = { strictly = "[32,34)", prefer = "33.0.0-jre" }
[libraries]
guava = { module = "com.google.guava:guava", version.ref = "guava" }
kotlin-stdlib = { group = "org.jetbrains.kotlin", name = "kotlin-stdlib", version.ref = "kotlin" }
short = "a.b:c:1.+"
bom_managed = { module = "a:managed" }
lost = { module = "a:lost", version.ref = "gone" }
nothing = { version = "1" }
[bundles]
all = ["guava", "kotlin-stdlib"]
[plugins]
kotlin-jvm = { id = "org.jetbrains.kotlin.jvm", version.ref = "kotlin" }
shadow = "com.gradleup.shadow:8.3.0"
"#;

#[test]
fn a_catalog_says_its_libraries_and_plugins_with_their_versions() {
    let file = read(&[("gradle/libs.versions.toml", CATALOG)]);
    let found: Vec<_> =
        asked(&file).iter().map(|one| (one.name.as_str(), one.range.as_deref(), one.bound, one.line)).collect();
    assert_eq!(
        found,
        [
            ("com.google.guava:guava", Some("[32,34)"), Bound::Bounded, 5),
            ("org.jetbrains.kotlin:kotlin-stdlib", Some("1.9.24"), Bound::Exact, 6),
            ("a.b:c", Some("1.+"), Bound::Bounded, 7),
            ("a:managed", None, Bound::Unknown, 8),
            ("a:lost", None, Bound::Unknown, 9),
            ("org.jetbrains.kotlin.jvm:org.jetbrains.kotlin.jvm.gradle.plugin", Some("1.9.24"), Bound::Exact, 14),
            ("com.gradleup.shadow:com.gradleup.shadow.gradle.plugin", Some("8.3.0"), Bound::Exact, 15),
        ]
    );
    assert_eq!(file.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(9), Some(10)]);
    let broken = read(&[("libs.versions.toml", "[libraries]\na = \n")]);
    assert_eq!(broken.faults.iter().map(|fault| (fault.whole, fault.line)).collect::<Vec<_>>(), [(true, Some(2))]);
}

#[test]
fn statements_of_groovy_are_read() {
    let text = r#"buildscript {
    ext { springVersion = '6.1.1' }
    ext.versions = [jackson: '2.17.0', netty: "4.1.100"]
    dependencies { classpath "org.example:plugin:$springVersion" }
}
plugins {
    id 'java'
    id 'org.springframework.boot' version '3.2.0' apply false
}
def slf4j = '2.0.9'
dependencies {
    implementation 'com.google.guava:guava:33.0.0-jre' // 'not:this:1'
    implementation "org.slf4j:slf4j-api:${slf4j}", 'a:b:1:sources@jar'
    implementation("com.fasterxml:databind:${versions.jackson}") { exclude group: 'x', module: 'y' }
    testImplementation group: 'junit', name: 'junit', version: '4.13.2'
    runtimeOnly group: 'g',
        name: 'n', version: slf4j
    compileOnly(platform('a:bom:1'))
    implementation project(':core')
    implementation files('libs/x.jar')
    implementation 'a:managed'
    implementation "a:x:$unknown"
    implementation "$g:x:1"
    if (foo) { implementation 'in:if:1' }
    annotationProcessor 'a:p:[1,2)'
    constraints { implementation 'no:such:1' }
    compileOnly gradleApi()
}
"#;
    let file = read(&[("app/build.gradle", text)]);
    assert_eq!(
        short(&file),
        [
            ("org.example:plugin", "6.1.1", 4, Scope::Build),
            ("org.springframework.boot:org.springframework.boot.gradle.plugin", "3.2.0", 8, Scope::Build),
            ("com.google.guava:guava", "33.0.0-jre", 12, Scope::Normal),
            ("org.slf4j:slf4j-api", "2.0.9", 13, Scope::Normal),
            ("a:b", "1", 13, Scope::Normal),
            ("com.fasterxml:databind", "2.17.0", 14, Scope::Normal),
            ("junit:junit", "4.13.2", 15, Scope::Dev),
            ("g:n", "2.0.9", 16, Scope::Normal),
            ("a:bom", "1", 18, Scope::Peer),
            (":core", "-", 19, Scope::Normal),
            ("libs/x.jar", "-", 20, Scope::Normal),
            ("a:managed", "-", 21, Scope::Normal),
            ("a:x", "$unknown", 22, Scope::Normal),
            ("a:p", "[1,2)", 25, Scope::Build),
        ]
    );
    assert_eq!(asked(&file)[9].origin, Origin::Workspace);
    assert_eq!(asked(&file)[10].origin, Origin::Path("libs/x.jar".to_owned()));
    assert_eq!((asked(&file)[12].bound, asked(&file)[13].bound), (Bound::Unknown, Bound::Bounded));
    assert_eq!(
        messages(&file),
        [
            "the version of 1 package is unknown: nothing that was read sets `unknown`",
            "1 package names no version: a platform or a constraint decides it, which is not known here",
            "2 statements that ask for packages are code, which only Gradle can run; the first stands here",
        ]
    );
    assert_eq!(file.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(22), Some(21), Some(23)]);
    let includes: Vec<_> =
        file.manifest.iter().flat_map(|manifest| &manifest.includes).map(|one| one.path.as_str()).collect();
    assert_eq!(includes, ["app/gradle.properties"], "where the value could stand");
}

#[test]
fn statements_of_kotlin_are_read() {
    let text = r#"plugins {
    java
    `kotlin-dsl`
    kotlin("jvm") version "1.9.24"
    alias(libs.plugins.shadow) apply false
    id("com.example.x") version embedded
}
version = "3.0"
val embedded = "2.0"
val ktor by extra("2.3.0")
dependencies {
    implementation(libs.guava)
    testImplementation(libs.bundles.all)
    implementation("a:b:${libs.versions.kotlin.get()}")
    implementation(platform("io.example:bom:$ktor"))
    implementation(group = "g", name = "n", version = "1")
    "customImplementation"("c:c:1")
    add("ksp", "k:k:1")
    implementation("s:s") { version { strictly("[1,2)") } }
    implementation("w:w:1").because("it is")
    implementation(kotlin("stdlib"))
    api(projects.core.model)
    testImplementation(testFixtures(project(":lib")))
    implementation(libs.absent)
    implementation(
        "long:line:1"
    )
}
kotlin { sourceSets { val commonTest by getting { dependencies { implementation("t:t:1") } } } }
dependencyManagement {
    imports { mavenBom("m:bom:1") }
    dependencies { dependency("no:such:1") }
}
"#;
    let file = read(&[("app/build.gradle.kts", text), ("gradle/libs.versions.toml", CATALOG)]);
    assert_eq!(
        short(&file),
        [
            ("org.jetbrains.kotlin.jvm:org.jetbrains.kotlin.jvm.gradle.plugin", "1.9.24", 4, Scope::Build),
            ("com.gradleup.shadow:com.gradleup.shadow.gradle.plugin", "8.3.0", 5, Scope::Build),
            ("com.example.x:com.example.x.gradle.plugin", "2.0", 6, Scope::Build),
            ("com.google.guava:guava", "[32,34)", 12, Scope::Normal),
            ("com.google.guava:guava", "[32,34)", 13, Scope::Dev),
            ("org.jetbrains.kotlin:kotlin-stdlib", "1.9.24", 13, Scope::Dev),
            ("a:b", "1.9.24", 14, Scope::Normal),
            ("io.example:bom", "2.3.0", 15, Scope::Normal),
            ("g:n", "1", 16, Scope::Normal),
            ("c:c", "1", 17, Scope::Normal),
            ("k:k", "1", 18, Scope::Build),
            ("s:s", "[1,2)", 19, Scope::Normal),
            ("w:w", "1", 20, Scope::Normal),
            ("org.jetbrains.kotlin:kotlin-stdlib", "-", 21, Scope::Normal),
            (":core:model", "-", 22, Scope::Normal),
            (":lib", "-", 23, Scope::Dev),
            ("long:line", "1", 25, Scope::Normal),
            ("t:t", "1", 29, Scope::Dev),
            ("m:bom", "1", 31, Scope::Build),
        ]
    );
    assert_eq!(asked(&file)[3].bound, Bound::Inherited);
    assert_eq!(file.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [Some(21), Some(24)]);
    let manifest = file.manifest.expect("a manifest");
    assert_eq!(
        (manifest.version.as_deref(), manifest.includes[0].path.as_str()),
        (Some("3.0"), "gradle/libs.versions.toml")
    );
}

#[test]
fn settings_name_the_projects_and_the_build() {
    let text = "pluginManagement { plugins { id(\"a.b\") version \"1\" } }
rootProject.name = 'shop'
include ':core', ':app:web'
include(\"tools\")
";
    let file = read(&[("settings.gradle", text), ("gradle/libs.versions.toml", "")]);
    let manifest = file.manifest.as_ref().expect("a manifest");
    assert_eq!(manifest.members, ["core", "app/web", "tools", "gradle"]);
    assert_eq!(manifest.name.as_deref(), Some("shop"));
    assert_eq!(short(&file), [("a.b:a.b.gradle.plugin", "1", 1, Scope::Build)]);
}

#[test]
fn values_come_from_the_files_around_and_are_not_guessed_where_there_are_several() {
    let text = "dependencies {
implementation \"a:a:$shared\"
implementation \"b:b:${twice}\"
implementation \"c:c:$property\"
}";
    let root = "ext.shared = '1'\nif (x) { ext.twice = '1' } else { ext.twice = '2' }\n";
    let files = [
        ("app/build.gradle", text),
        ("build.gradle", root),
        ("gradle.properties", "property=3\n"),
        ("settings.gradle", ""),
    ];
    let file = read(&files);
    let ranges: Vec<_> = asked(&file).iter().map(|one| (one.range.as_deref(), one.bound)).collect();
    assert_eq!(ranges, [(Some("1"), Bound::Exact), (Some("${twice}"), Bound::Unknown), (Some("3"), Bound::Exact)]);
    assert_eq!(messages(&file), ["the version of 1 package is unknown: `twice` is set to several values"]);
}

#[test]
fn ranges_allow_what_gradles_rules_say() {
    let expected = [
        ("1.0", Bound::Exact),
        ("1.0!!", Bound::Exact),
        ("[1.0]", Bound::Exact),
        ("1.+", Bound::Bounded),
        ("[1.7,1.8[", Bound::Bounded),
        ("]1,2]", Bound::Bounded),
        ("[1.7,1.8[!!1.7.25", Bound::Bounded),
        ("1-SNAPSHOT", Bound::Bounded),
        ("+", Bound::Open),
        ("latest.release", Bound::Open),
        ("[1,)", Bound::Open),
        ("", Bound::Open),
        ("$v", Bound::Unknown),
        ("[1,2", Bound::Unknown),
        ("a b", Bound::Unknown),
    ];
    assert_eq!(expected.map(|(range, _)| (range, bound_of(range))), expected);
}

#[test]
fn no_text_makes_a_reader_panic() {
    let words = [
        "dependencies",
        "plugins",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "implementation",
        " ",
        "\n",
        "'a:b:1'",
        "\"a:b:${",
        "'",
        "\"",
        "\"\"\"",
        "libs",
        ".",
        ",",
        "=",
        ":",
        "group",
        "name",
        "id",
        "version",
        "/*",
        "//",
        "é",
        "$",
        "\\",
        "include",
        "add",
        "alias",
    ];
    pieces(&words, |text| {
        read(&[("build.gradle", text)]);
        read(&[("settings.gradle.kts", &format!("dependencies {{{text}"))]);
        read(&[("gradle.lockfile", text)]);
    });
    mangled(
        "dependencies { implementation(libs.bundles.all); a(\"g:a:${v}\") { version { strictly('1') } } }",
        |text| {
            read(&[("build.gradle.kts", text), ("gradle/libs.versions.toml", CATALOG)]);
        },
    );
}

#[test]
fn long_and_deep_scripts_take_no_longer_than_they_are() {
    for text in [
        "dependencies { a(".repeat(50_000),
        "\"${".repeat(200_000),
        "{".repeat(500_000),
        "dependencies { a '".repeat(50_000),
    ] {
        read(&[("build.gradle", &text)]);
    }
}
