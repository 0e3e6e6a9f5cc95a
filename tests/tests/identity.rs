//! Who may do what, on a real server.

use rethread_tests::{
    api::Api,
    server::{SCOPES, Server, token},
};

#[tokio::test]
async fn only_operators_reach_the_admin_endpoints() {
    let server = Server::start();
    let nobody = Api::new(&server.url(), "");
    let refused = nobody.get("/v1/admin/me").await;
    assert_eq!((refused.status, refused.code()), (401, "unauthorized"));

    let refused = server.api().get("/v1/admin/me").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{SCOPES} is not admin");
    assert_eq!(refused.body["error"]["expected"], "admin");

    let operator = Api::new(&server.url(), &token(&["--user", "olga", "--scope", "admin"]));
    let me = operator.get("/v1/admin/me").await;
    assert_eq!((me.status, &me.body["user"]), (200, &"olga".into()), "{me:?}");
    assert_eq!(me.body["scopes"], serde_json::json!(["admin"]));
    let refused = operator.get("/v1/threads").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"), "admin grants no reading");
}

#[tokio::test]
async fn the_token_of_dev_mode_does_not_operate_the_server() {
    let server = Server::start_with(&["--dev"]);
    let dev = server.api().get("/v1/dev/token").await;
    let dev = Api::new(&server.url(), dev.body["token"].as_str().unwrap());
    assert_eq!(dev.get("/v1/threads").await.status, 200);
    assert_eq!(dev.get("/v1/admin/me").await.code(), "forbidden");
}
