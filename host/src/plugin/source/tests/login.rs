use convoke_standin::registry::{Login, Wrong, basic};

use super::*;

fn login(realm: Option<String>) -> Login {
    Login::Token { to: Some(("me".to_owned(), "secret".to_owned())), realm }
}

#[tokio::test]
async fn a_password_is_sent_when_the_registry_asks_and_not_before() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    registry.set_login(Login::Basic("me".to_owned(), "secret".to_owned()));
    let (_folder, mine) = logged_in(&registry.host(), "me", "secret");
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    assert_eq!(get(&source, &mine).await.unwrap().bytes, BYTES);
    let asked = registry.asked();
    assert_eq!(asked[0].authorization, None);
    assert_eq!(asked[1].authorization, Some(basic("me", "secret")));
    assert_eq!(asked.len(), 3, "it is asked once: {asked:?}");
    let error = get(&source, &access()).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { status: 401, known: false, .. }), "{error}");
    assert!(error.hint().unwrap().contains("docker login"), "{error}");
    let (_folder, wrong) = logged_in(&registry.host(), "me", "guessed");
    assert!(matches!(get(&source, &wrong).await, Err(SourceError::Denied { known: true, .. })));
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_the_password_is_seen_by_the_realm_only() {
    let registry = registry().await;
    registry.put_component("acme/deps", "1.0.0", BYTES);
    registry.set_login(login(None));
    let (_folder, mine) = logged_in(&registry.host(), "me", "secret");
    assert_eq!(get(&format!("oci://{}/acme/deps:1.0.0", registry.host()), &mine).await.unwrap().bytes, BYTES);
    let asked = registry.asked();
    let tokens: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1, "{asked:?}");
    assert_eq!(tokens[0].path, "/token?service=registry&scope=repository%3Aacme%2Fdeps%3Apull");
    let with_password = asked.iter().filter(|asked| asked.authorization == Some(basic("me", "secret")));
    assert_eq!(with_password.count(), 1);
}

#[tokio::test]
async fn anybody_gets_a_token_where_anybody_may() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    registry.set_login(Login::Token { to: None, realm: None });
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    assert_eq!(get(&source, &access()).await.unwrap().bytes, BYTES);
    registry.set_login(login(None));
    let error = get(&source, &access()).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { known: false, .. }), "{error}");
}

#[tokio::test]
async fn credentials_are_not_sent_to_another_sites_realm() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    let (_folder, mine) = logged_in(&registry.host(), "me", "secret");
    registry.set_login(login(Some("https://evil.example/token".to_owned())));
    let said = refused(&source, &mine).await;
    assert!(said.ends_with("wants your credentials for it to be sent to https://evil.example/token"), "{said}");
    registry.set_login(login(Some("https://169.254.169.254/token".to_owned())));
    assert!(refused(&source, &access()).await.contains("169.254.169.254"));
    registry.set_login(login(Some("not an address".to_owned())));
    assert!(refused(&source, &access()).await.contains("its realm is no address"));
}

#[tokio::test]
async fn a_realm_that_sends_on_gets_the_password_no_further() {
    let (registry, other) = (registry().await, registry().await);
    registry.put_component("deps", "1.0.0", BYTES);
    registry.set_login(login(None));
    registry.set_wrong("/token", Wrong::SendOn(format!("http://{}/elsewhere", other.host())));
    other.put_file("/elsewhere", br#"{"token":"token:repository:deps:pull"}"#);
    let (_folder, mine) = logged_in(&registry.host(), "me", "secret");
    get(&format!("oci://{}/deps:1.0.0", registry.host()), &mine).await.unwrap();
    let there = other.asked();
    assert!(there.len() == 1 && there[0].authorization.is_none(), "{there:?}");
}

#[tokio::test]
async fn a_login_that_gives_nonsense_is_told() {
    let registry = registry().await;
    registry.put_component("deps", "1.0.0", BYTES);
    registry.set_login(Login::Token { to: None, realm: None });
    let source = format!("oci://{}/deps:1.0.0", registry.host());
    for (wrong, said) in [
        (Wrong::Text("{}".to_owned()), "it gives no token"),
        (Wrong::Text("<html>".to_owned()), "it gives no token"),
        (Wrong::Text(r#"{"token":"a\nb"}"#.to_owned()), "characters that no token has"),
        (Wrong::Text(r#"{"token":"unknown"}"#.to_owned()), "refuses"),
        (Wrong::Status(500), "the server answers 500"),
        (Wrong::Status(403), "refuses"),
        (Wrong::Endless, "more than 262144 bytes"),
    ] {
        registry.set_wrong("/token", wrong.clone());
        let error = refused(&source, &access()).await;
        assert!(error.contains(said), "{wrong:?}: {error}");
        registry.heal();
    }
}
