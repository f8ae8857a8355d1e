//! One file of MSBuild as it is written: properties and the items that name packages, each with its condition. Nothing is
//! evaluated yet.
//!
//! <https://learn.microsoft.com/visualstudio/msbuild/msbuild-project-file-schema-reference> names the elements. Their names, and
//! those of attributes, don't differ by case.

use roxmltree::Node;

use crate::format::xml::{Tree, text};
use crate::model::Fault;

/// A project, or properties that projects share.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) properties: Vec<Property>,
    pub(super) items: Vec<Item>,
    pub(super) imports: Vec<Import>,
    pub(super) faults: Vec<Fault>,
}

/// A property as it is set once.
#[derive(Debug)]
pub(super) struct Property {
    /// Lower case.
    pub(super) name: String,
    pub(super) value: String,
    pub(super) condition: Option<String>,
}

/// Another file whose text is taken in.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: String,
    pub(super) condition: Option<String>,
    pub(super) line: u32,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `PackageReference`
    Package,
    /// `GlobalPackageReference`: a package of every project.
    Global,
    /// `PackageVersion`: in which version a package is used that names none itself.
    Central,
    /// `ProjectReference`
    Project,
    /// `DotNetCliToolReference`
    Tool,
    /// An SDK that has a version: it comes from NuGet.
    Sdk,
}

/// What an item does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Include,
    Update,
    Remove,
}

/// An item that names a package or project.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) act: Act,
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// `VersionOverride`: instead of the central version.
    pub(super) instead: Option<String>,
    /// Nobody who uses the project gets it.
    pub(super) private: bool,
    pub(super) condition: Option<String>,
    pub(super) line: u32,
}

impl Sheet {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no XML, or no file of MSBuild.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let tree = Tree::read(text)?;
        let root = tree.root();
        if !is(root, "Project") {
            let message = format!("its outermost element is `{}`, not `Project`", root.tag_name().name());
            return Err(Fault::new(Some(tree.line(root)), &message, true));
        }
        let mut sheet = Self::default();
        for sdk in attribute(root, "Sdk").iter().flat_map(|sdks| sdks.split(';')) {
            sheet.sdk(sdk.split_once('/').map(|(name, version)| (name, Some(version))), tree.line(root));
        }
        sheet.group(&tree, root, None);
        Ok(sheet)
    }

    /// What stands in a project, or in a part of it that has a condition. As deep as elements may be.
    fn group(&mut self, tree: &Tree<'_>, node: Node<'_, '_>, within: Option<&str>) {
        for node in node.children().filter(Node::is_element) {
            let condition = both(within, attribute(node, "Condition").as_deref());
            let condition = condition.as_deref();
            match node.tag_name().name().to_ascii_lowercase().as_str() {
                "propertygroup" => self.properties(node, condition),
                "itemgroup" => self.items(tree, node, condition),
                "choose" | "importgroup" => self.group(tree, node, condition),
                "when" => self.group(tree, node, condition),
                "otherwise" => self.group(tree, node, both(within, Some("otherwise")).as_deref()),
                "sdk" => {
                    let name = attribute(node, "Name").unwrap_or_default();
                    self.sdk(Some((&name, attribute(node, "Version").as_deref())), tree.line(node));
                }
                "import" => match (attribute(node, "Sdk"), attribute(node, "Project")) {
                    (Some(sdk), _) => {
                        let version = attribute(node, "Version");
                        let (name, written) = sdk.split_once('/').unwrap_or((&sdk, ""));
                        let version = version.as_deref().or(Some(written)).filter(|version| !version.is_empty());
                        self.sdk(Some((name, version)), tree.line(node));
                    }
                    (None, Some(path)) => self.imports.push(Import {
                        path: path.trim().replace('\\', "/"),
                        condition: condition.map(str::to_owned),
                        line: tree.line(node),
                    }),
                    (None, None) => {}
                },
                "target" => self.target(tree, node),
                _ => {}
            }
        }
    }

    fn properties(&mut self, group: Node<'_, '_>, within: Option<&str>) {
        for node in group.children().filter(Node::is_element) {
            self.properties.push(Property {
                name: node.tag_name().name().to_ascii_lowercase(),
                value: text(node).unwrap_or_default(),
                condition: both(within, attribute(node, "Condition").as_deref()),
            });
        }
    }

    fn items(&mut self, tree: &Tree<'_>, group: Node<'_, '_>, within: Option<&str>) {
        for node in group.children().filter(Node::is_element) {
            let Some(kind) = Kind::of(node) else { continue };
            let acts = [("Include", Act::Include), ("Update", Act::Update), ("Remove", Act::Remove)];
            let act = acts.into_iter().find_map(|(name, act)| Some((act, attribute(node, name)?)));
            let Some((act, names)) = act else {
                let message = format!("this {} names nothing, so it is left out", node.tag_name().name());
                self.faults.push(Fault::new(Some(tree.line(node)), &message, false));
                continue;
            };
            let private = metadata(node, "PrivateAssets");
            let item = Item {
                kind,
                act,
                name: String::new(),
                version: metadata(node, "Version"),
                instead: metadata(node, "VersionOverride"),
                private: private
                    .is_some_and(|assets| assets.split(';').any(|one| one.trim().eq_ignore_ascii_case("all"))),
                condition: both(within, attribute(node, "Condition").as_deref()),
                line: tree.line(node),
            };
            for name in names.split(';').map(str::trim).filter(|name| !name.is_empty()) {
                self.items.push(Item { name: name.to_owned(), ..item.clone() });
            }
        }
    }

    /// What a target does is known only when it runs.
    fn target(&mut self, tree: &Tree<'_>, target: Node<'_, '_>) {
        let packages =
            target.descendants().filter(|node| matches!(Kind::of(*node), Some(Kind::Package | Kind::Central)));
        if let Some(first) = packages.into_iter().next() {
            let message = "packages that a target adds while it runs are not known";
            self.faults.push(Fault::new(Some(tree.line(first)), message, false));
        }
    }

    fn sdk(&mut self, named: Option<(&str, Option<&str>)>, line: u32) {
        let Some((name, Some(version))) = named else { return };
        self.items.push(Item {
            kind: Kind::Sdk,
            act: Act::Include,
            name: name.trim().to_owned(),
            version: Some(version.trim().to_owned()),
            instead: None,
            private: true,
            condition: None,
            line,
        });
    }
}

impl Kind {
    fn of(node: Node<'_, '_>) -> Option<Self> {
        const KINDS: [(&str, Kind); 5] = [
            ("PackageReference", Kind::Package),
            ("GlobalPackageReference", Kind::Global),
            ("PackageVersion", Kind::Central),
            ("ProjectReference", Kind::Project),
            ("DotNetCliToolReference", Kind::Tool),
        ];
        KINDS.into_iter().find(|(name, _)| is(node, name)).map(|(_, kind)| kind)
    }
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name().eq_ignore_ascii_case(name)
}

/// An attribute's value, trimmed.
pub(super) fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    let found = node.attributes().find(|attribute| attribute.name().eq_ignore_ascii_case(name))?;
    Some(found.value().trim().to_owned())
}

/// What an item says about what it names: as an attribute or as an element.
fn metadata(node: Node<'_, '_>, name: &str) -> Option<String> {
    let element = || node.children().find(|child| child.is_element() && is(*child, name)).and_then(text);
    attribute(node, name).filter(|text| !text.is_empty()).or_else(element)
}

/// Two conditions that must both hold.
fn both(one: Option<&str>, other: Option<&str>) -> Option<String> {
    let other = other.filter(|condition| !condition.is_empty());
    match (one, other) {
        // Conditions of nested parts grow with each: what is longer is only for people.
        (Some(one), Some(_)) if one.len() > 2000 => Some(one.to_owned()),
        (Some(one), Some(other)) => Some(format!("{one} and {other}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}
