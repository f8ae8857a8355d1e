//! What is live, as server-sent events: the list of those that go on, and what changed in the run that is looked at.
//!
//! Nothing is queued for anybody: when a page has taken what it was sent, what has changed since is put together anew. Who
//! is slow gets fewer and larger pieces, and who reads nothing any more is dropped ([`door`](super::door)).

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;

/// At most so often something is sent.
const EVERY: Duration = Duration::from_millis(250);

/// So often something is sent where nothing happens, so that both sides know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After so long a page that was cut off comes back.
const COME_BACK: Duration = Duration::from_secs(1);

/// How much a page has seen. In its written form it is the id of an event, and comes back when the page does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of which server this is; another one counts otherwise.
    server: u32,
    /// Which follower of the run.
    generation: u64,
    /// How many events of the run.
    version: u64,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let cursor = Self { server: u32::try_from(number()?).ok()?, generation: number()?, version: number()? };
        parts.next().is_none().then_some(cursor)
    }

    fn written(self) -> String {
        format!("{}.{}.{}", self.server, self.generation, self.version)
    }
}

/// What is sent to one page.
pub(super) struct Watching {
    pub fleet: Fleet,
    /// The run that is looked at, if one is.
    pub run: Option<String>,
    pub until: CancellationToken,
    /// A number of this server.
    pub server: u32,
    /// What the page says it has seen.
    pub seen: Option<String>,
    /// Its place among those that are served; given back when it is dropped.
    pub _place: OwnedSemaphorePermit,
}

impl Watching {
    /// The answer. It ends with the server, or when nobody reads it.
    pub(super) fn answer(self) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let changes = self.fleet.changes();
        let seen = self.seen.as_deref().and_then(Cursor::read).filter(|seen| seen.server == self.server);
        let cursor = seen.unwrap_or(Cursor { server: self.server, ..Cursor::default() });
        let state = State { watching: self, changes, cursor, first: true };
        let stream = futures::stream::unfold(state, |mut state| async move {
            let event = state.next().await?;
            Some((Ok(event), state))
        });
        Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
    }
}

struct State {
    watching: Watching,
    changes: watch::Receiver<u64>,
    cursor: Cursor,
    first: bool,
}

impl State {
    /// The next piece, when there is one; none: the server ends.
    async fn next(&mut self) -> Option<Event> {
        let until = self.watching.until.clone();
        if until.is_cancelled() {
            return None;
        }
        if !std::mem::take(&mut self.first) {
            let changed = async {
                tokio::time::sleep(EVERY).await;
                self.changes.changed().await
            };
            tokio::select! {
                () = until.cancelled() => return None,
                changed = changed => changed.ok()?,
            }
        }
        // What changes while it is put together comes with the next one.
        self.changes.mark_unchanged();
        Some(self.piece())
    }

    fn piece(&mut self) -> Event {
        let fleet = &self.watching.fleet;
        let mut piece = json!({ "fleet": fleet.briefs() });
        if let Some(run) = &self.watching.run {
            let cursor = &mut self.cursor;
            let looked = fleet.look(run, |followed| {
                if cursor.generation != followed.generation || cursor.version > followed.picture.version() {
                    (cursor.generation, cursor.version) = (followed.generation, 0);
                }
                let patch = serde_json::to_value(followed.picture.since(cursor.version)).unwrap_or_default();
                cursor.version = followed.picture.version();
                json!({ "id": run, "heard": followed.is_heard(), "incomplete": followed.is_incomplete, "patch": patch })
            });
            // Null: it is not among those that go on.
            piece["run"] = looked.unwrap_or_default();
        }
        Event::default().id(self.cursor.written()).retry(COME_BACK).data(piece.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::response::IntoResponse;
    use convoke_runtime::event::{Event as Told, Fact};
    use futures::StreamExt;
    use serde_json::Value;
    use tokio::sync::Semaphore;

    use super::*;

    fn watching(fleet: &Fleet, seen: Option<&str>) -> Watching {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let seen = seen.map(str::to_owned);
        let run = Some("one".to_owned());
        Watching { fleet: fleet.clone(), run, until: CancellationToken::new(), server: 7, seen, _place: place }
    }

    fn warned(message: &str) -> Told {
        Told { at: Duration::from_millis(1), fact: Fact::Warned { message: message.to_owned() } }
    }

    /// The next frame as it goes over the wire: its id, and its data.
    async fn frame(body: &mut (impl Stream<Item = Result<axum::body::Bytes, axum::Error>> + Unpin)) -> (String, Value) {
        loop {
            let bytes = body.next().await.expect("another frame").unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.ends_with("\n\n") && !text.contains('\r'), "{text:?}");
            if text.starts_with(':') {
                continue;
            }
            let field = |name: &str| text.lines().filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>();
            let (ids, data) = (field("id: "), field("data: "));
            assert_eq!((ids.len(), data.len()), (1, 1), "{text:?}");
            return (ids[0].to_owned(), serde_json::from_str(data[0]).unwrap());
        }
    }

    fn body(watching: Watching) -> impl Stream<Item = Result<axum::body::Bytes, axum::Error>> + Unpin {
        let response = watching.answer().into_response();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Body::into_data_stream(response.into_body())
    }

    #[tokio::test(start_paused = true)]
    async fn first_all_of_it_then_what_changed() {
        let fleet = Fleet::default();
        fleet.begin("one", PathBuf::new());
        fleet.hear("one", &[warned("a"), warned("b")]);
        let mut body = body(watching(&fleet, None));
        let (id, piece) = frame(&mut body).await;
        assert_eq!((id.as_str(), &piece["run"]["patch"]["full"]), ("7.0.2", &Value::Bool(true)));
        assert_eq!(piece["run"]["patch"]["tails"]["marks"][1].as_array().map(Vec::len), Some(2));
        fleet.hear("one", &[warned("c")]);
        let (id, piece) = frame(&mut body).await;
        assert_eq!((id.as_str(), &piece["run"]["patch"]["full"]), ("7.0.3", &Value::Bool(false)));
        assert_eq!(piece["run"]["patch"]["tails"]["marks"][1][0]["text"], "c");
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_goes_on_where_they_were() {
        let fleet = Fleet::default();
        fleet.begin("one", PathBuf::new());
        fleet.hear("one", &[warned("a"), warned("b")]);
        let (id, piece) = frame(&mut body(watching(&fleet, Some("7.0.1")))).await;
        assert_eq!((id.as_str(), &piece["run"]["patch"]["full"]), ("7.0.2", &Value::Bool(false)));
        assert_eq!(piece["run"]["patch"]["tails"]["marks"][1].as_array().map(Vec::len), Some(1));
        // Of another server, of a run that was told anew, of the future, or nonsense: all of it.
        for seen in ["8.0.1", "7.1.1", "7.0.9", "x", "7.0", "7.0.1.2", "-1.0.0", "99999999999999999999.0.0"] {
            let (id, piece) = frame(&mut body(watching(&fleet, Some(seen)))).await;
            assert_eq!((id.as_str(), &piece["run"]["patch"]["full"]), ("7.0.2", &Value::Bool(true)), "{seen}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_texts_say_breaks_no_frame() {
        let fleet = Fleet::default();
        fleet.begin("one", PathBuf::new());
        let hostile = "x\n\nevent: evil\ndata: {}\r\n\r\nid: 0\u{2028}\u{0}</script><script>alert(1)</script>";
        fleet.hear("one", &[warned(hostile)]);
        let (_, piece) = frame(&mut body(watching(&fleet, None))).await;
        assert_eq!(piece["run"]["patch"]["tails"]["marks"][1][0]["text"], hostile);
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_late_gets_one_piece_and_not_many() {
        let fleet = Fleet::default();
        fleet.begin("one", PathBuf::new());
        let mut body = body(watching(&fleet, None));
        frame(&mut body).await;
        for number in 0..1_000 {
            fleet.hear("one", &[warned(&number.to_string())]);
        }
        let (id, piece) = frame(&mut body).await;
        assert_eq!(
            (id.as_str(), piece["run"]["patch"]["tails"]["marks"][1].as_array().map(Vec::len)),
            ("7.0.1000", Some(1_000))
        );
        let silent = tokio::time::timeout(KEEP_ALIVE - EVERY * 2, body.next()).await;
        assert!(silent.is_err(), "nothing has changed: {silent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_server() {
        let fleet = Fleet::default();
        let watching = watching(&fleet, None);
        let until = watching.until.clone();
        let mut body = body(watching);
        let (_, piece) = frame(&mut body).await;
        assert_eq!(piece["run"], Value::Null);
        until.cancel();
        assert!(body.next().await.is_none());
    }
}
