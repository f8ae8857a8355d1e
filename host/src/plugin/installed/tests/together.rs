//! Several that install at the same time.

use std::thread::scope;

use super::*;

#[test]
fn eight_that_install_at_once_all_have_installed() {
    let world = World::new();
    let names = ["aa", "bb", "cc", "dd"];
    scope(|scope| {
        for name in names.into_iter().chain(names) {
            let world = &world;
            scope.spawn(move || world.install(name, "0.1.0").unwrap());
        }
    });
    for name in names {
        assert_eq!(world.version(name).as_deref(), Some("0.1.0"));
    }
    assert_eq!(world.files().len(), 1 + names.len());
}

/// While it is asked, another process does this.
struct Meanwhile<F>(F);

impl<F: Fn()> Agree for Meanwhile<F> {
    fn agree(&self, _: &Looked) -> Result<(), InstallError> {
        (self.0)();
        Ok(())
    }
}

/// It would wait for ever if the lock was held while somebody is asked.
#[test]
fn who_comes_later_stays_unless_that_went_back_behind_a_newer_one() {
    let world = World::new();
    let begin = |version: &str| world.look("one", version, &Undisturbed).unwrap();

    let older = begin("0.1.0");
    let newer = Meanwhile(|| {
        world.install("one", "0.3.0").unwrap();
    });
    let error = world.install_as(&[older], &USER, &newer, &Undisturbed).unwrap_err();
    assert!(matches!(&error, InstallError::Overtaken { theirs, .. } if theirs.to_string() == "0.3.0"), "{error}");
    assert_eq!(world.version("one").as_deref(), Some("0.3.0"));

    let newer = begin("0.5.0");
    let older = Meanwhile(|| {
        world.install("one", "0.4.0").unwrap();
    });
    world.install_as(&[newer], &USER, &older, &Undisturbed).unwrap();
    assert_eq!(world.version("one").as_deref(), Some("0.5.0"));

    let update = Purpose::User { shadow: false, downgrade: false, update: true };
    let newer = begin("0.6.0");
    let removed = Meanwhile(|| {
        uninstall(&world.plugins, "one", drop, &Undisturbed).unwrap();
    });
    let error = world.install_as(&[newer], &update, &removed, &Undisturbed).unwrap_err();
    assert!(matches!(error, InstallError::Removed { .. }), "an update does not bring back what was removed: {error}");
    assert_eq!(world.version("one"), None);
}
