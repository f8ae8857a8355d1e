//! One `pom.xml`, as it is written: nothing is inherited or filled in yet.
//!
//! <https://maven.apache.org/ref/3.9.9/maven-model/maven.html> names the elements.

use convoke_sdk::small::Map;

use roxmltree::Node;

use crate::format::xml::{Does, Tags, Tree, child, children, text, text_of};
use crate::model::Fault;

/// A project.
#[derive(Debug, Default)]
pub(super) struct Pom {
    pub(super) group: Option<String>,
    pub(super) artifact: Option<String>,
    pub(super) version: Option<String>,
    pub(super) licenses: Vec<String>,
    pub(super) parent: Option<Parent>,
    pub(super) body: Body,
    pub(super) profiles: Vec<Profile>,
}

/// What a project or a profile says.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) properties: Map<String, String>,
    pub(super) asked: Vec<Entry>,
    pub(super) managed: Vec<Entry>,
    pub(super) plugins: Vec<Entry>,
    pub(super) managed_plugins: Vec<Entry>,
    pub(super) modules: Vec<String>,
}

/// What holds only where a profile is active.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) id: String,
    pub(super) body: Body,
}

/// The project that this one inherits from.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) group: String,
    pub(super) artifact: String,
    pub(super) version: String,
    /// Where it is looked for, from the project's folder. None: it is to be taken from a repository.
    pub(super) relative: Option<String>,
    pub(super) line: u32,
}

/// A dependency, a plugin or an extension.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) group: Option<String>,
    pub(super) artifact: Option<String>,
    pub(super) version: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) classifier: Option<String>,
    pub(super) system_path: Option<String>,
    pub(super) optional: bool,
    pub(super) line: u32,
}

/// The group of plugins that name none.
const PLUGINS: &str = "org.apache.maven.plugins";

impl Pom {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no XML, or no project.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let tree = Tree::read(text)?;
        let root = tree.root();
        if root.tag_name().name() != "project" {
            let message = format!("its outermost element is `{}`, not `project`", root.tag_name().name());
            return Err(Fault::new(Some(tree.line(root)), &message, true));
        }
        let licenses = child(root, "licenses").into_iter().flat_map(|all| children(all, "license"));
        let profiles = child(root, "profiles").into_iter().flat_map(|all| children(all, "profile"));
        Ok(Self {
            group: text_of(root, "groupId"),
            artifact: text_of(root, "artifactId"),
            version: text_of(root, "version"),
            licenses: licenses.filter_map(|license| text_of(license, "name")).collect(),
            parent: child(root, "parent").map(|node| Parent::read(&tree, node)),
            body: Body::read(&tree, root),
            profiles: profiles
                .map(|node| Profile {
                    id: text_of(node, "id").unwrap_or_else(|| "default".to_owned()),
                    body: Body::read(&tree, node),
                })
                .collect(),
        })
    }
}

impl Parent {
    fn read(tree: &Tree<'_>, node: Node<'_, '_>) -> Self {
        let relative = match child(node, "relativePath") {
            None => Some("../pom.xml".to_owned()),
            Some(path) => text(path),
        };
        Self {
            group: text_of(node, "groupId").unwrap_or_default(),
            artifact: text_of(node, "artifactId").unwrap_or_default(),
            version: text_of(node, "version").unwrap_or_default(),
            relative,
            line: tree.line(node),
        }
    }
}

impl Body {
    fn read(tree: &Tree<'_>, node: Node<'_, '_>) -> Self {
        let mut body = Self::default();
        if let Some(properties) = child(node, "properties") {
            for property in properties.children().filter(Node::is_element) {
                // The last one counts, and one without text is set to nothing.
                body.properties.insert(property.tag_name().name().to_owned(), text(property).unwrap_or_default());
            }
        }
        body.asked = entries(tree, Some(node), "dependencies", "dependency");
        body.managed = entries(tree, child(node, "dependencyManagement"), "dependencies", "dependency");
        let build = child(node, "build");
        for plugin in lists(build, "plugins", "plugin").chain(lists(child(node, "reporting"), "plugins", "plugin")) {
            body.plugins.push(Entry::plugin(tree, plugin));
            body.plugins.extend(entries(tree, Some(plugin), "dependencies", "dependency"));
        }
        body.plugins.extend(entries(tree, build, "extensions", "extension"));
        let managed = lists(build.and_then(|build| child(build, "pluginManagement")), "plugins", "plugin");
        body.managed_plugins = managed.map(|plugin| Entry::plugin(tree, plugin)).collect();
        // Maven 4 calls modules subprojects.
        let modules = lists(Some(node), "modules", "module").chain(lists(Some(node), "subprojects", "subproject"));
        body.modules = modules.filter_map(text).collect();
        body
    }
}

/// The elements of a list, of all lists of that name.
fn lists<'d, 'a>(node: Option<Node<'d, 'a>>, list: &str, name: &str) -> impl Iterator<Item = Node<'d, 'a>> {
    node.into_iter().flat_map(move |node| children(node, list)).flat_map(move |list| children(list, name))
}

fn entries(tree: &Tree<'_>, node: Option<Node<'_, '_>>, list: &str, name: &str) -> Vec<Entry> {
    lists(node, list, name).map(|node| Entry::read(tree, node)).collect()
}

impl Entry {
    fn read(tree: &Tree<'_>, node: Node<'_, '_>) -> Self {
        Self {
            group: text_of(node, "groupId"),
            artifact: text_of(node, "artifactId"),
            version: text_of(node, "version"),
            scope: text_of(node, "scope"),
            kind: text_of(node, "type"),
            classifier: text_of(node, "classifier"),
            system_path: text_of(node, "systemPath"),
            optional: text_of(node, "optional").as_deref() == Some("true"),
            line: tree.line(node),
        }
    }

    fn plugin(tree: &Tree<'_>, node: Node<'_, '_>) -> Self {
        let entry = Self::read(tree, node);
        Self { group: entry.group.or_else(|| Some(PLUGINS.to_owned())), ..entry }
    }

    /// Whether it takes over what another project manages.
    pub(super) fn imports(&self) -> bool {
        self.scope.as_deref() == Some("import") && self.kind.as_deref() == Some("pom")
    }
}

/// How a project is called, as it is written. What it doesn't say itself is its parent's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Coordinates<'a> {
    pub(super) group: Option<&'a str>,
    pub(super) artifact: Option<&'a str>,
    pub(super) version: Option<&'a str>,
}

/// How a project is called, from the first lines of its file: the rest is not read, so that it can be asked of every file of
/// a large project.
pub(super) fn coordinates(text: &str) -> Coordinates<'_> {
    /// Bytes in which a project says its name.
    const HEAD: usize = 16 * 1024;
    let (mut own, mut parent) = (Coordinates::default(), Coordinates::default());
    let mut above: Vec<&str> = Vec::new();
    let mut opened = 0;
    for tag in Tags::of(text).take_while(|tag| tag.start < HEAD) {
        let local = tag.name.rsplit_once(':').map_or(tag.name, |(_, local)| local);
        match tag.does {
            Does::Opens if above.len() == 1 && matches!(local, "build" | "dependencies" | "dependencyManagement") => {
                break;
            }
            Does::Opens => {
                above.push(local);
                opened = tag.end;
            }
            Does::Closes => {
                let into = match above.as_slice() {
                    ["project", _] => Some(&mut own),
                    ["project", "parent", _] => Some(&mut parent),
                    _ => None,
                };
                let value = text.get(opened..tag.start).map(str::trim);
                match (into, local) {
                    (Some(into), "groupId") => into.group = value,
                    (Some(into), "artifactId") => into.artifact = value,
                    (Some(into), "version") => into.version = value,
                    _ => {}
                }
                above.pop();
            }
            Does::Both | Does::Declares => {}
        }
    }
    Coordinates { group: own.group.or(parent.group), artifact: own.artifact, version: own.version.or(parent.version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_from_the_first_lines() {
        let text = "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent>
            <artifactId> a </artifactId><build><version>9</version></build>";
        let expected = Coordinates { group: Some("g"), artifact: Some("a"), version: Some("1") };
        assert_eq!(coordinates(text), expected);
        assert_eq!(coordinates("nothing < of > XML"), Coordinates::default());
    }
}
