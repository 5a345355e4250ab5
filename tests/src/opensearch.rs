//! A search engine, from the test bed in `tests/opensearch-testbed`, and what arrived in it.

use std::env;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http::{Answer, get_json, request};
use crate::place::{Place, free_port, installed};
use crate::process::{Process, Recipe};
use crate::wait::until;

/// One node with the Elasticsearch 7.10 API.
#[derive(Debug)]
pub struct OpenSearch {
    url: String,
    node: Option<Node>,
}

#[derive(Debug)]
struct Node {
    recipe: Recipe,
    process: Process,
    /// Present if the node's directory belongs to nobody else. Dropped last.
    _place: Option<Place>,
}

impl OpenSearch {
    /// Returns the node that tests share, each with indices of its own.
    ///
    /// It is the one that `tests/run` has started, or else one that runs while any test uses it.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<OpenSearch>> = Mutex::new(Weak::new());
        // A test that failed while it held the lock has left nothing half done.
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(node) = shared.upgrade() {
            return node;
        }
        let node = Arc::new(match env::var("LOGSTASH_MESOS_TEST_OPENSEARCH") {
            Ok(url) => Self { url, node: None },
            Err(_) => {
                let place = Place::new("opensearch");
                let directory = place.path().to_owned();
                Self::launch(&directory, Some(place))
            }
        });
        *shared = Arc::downgrade(&node);
        node
    }

    /// Starts a node of the test's own, which may be killed.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        Self::launch(directory, None)
    }

    fn launch(directory: &Path, place: Option<Place>) -> Self {
        let port = free_port();
        let recipe = Recipe::new(installed("opensearch/bin/opensearch"), directory, "opensearch")
            .arg(port.to_string())
            .arg(directory.join("data"))
            .arg(format!("transport.port={}", free_port()));
        let process = recipe.start();
        let node = Some(Node { recipe, process, _place: place });
        let mut node = Self { url: format!("http://127.0.0.1:{port}"), node };
        node.wait();
        node
    }

    /// Ends the node with SIGKILL. What it has accepted is in its translog.
    ///
    /// # Panics
    ///
    /// If the node is shared with other tests.
    pub fn kill(&mut self) {
        self.node.as_mut().expect("only a node of the test's own is killed").process.kill();
    }

    /// Starts the node again after [`kill`](Self::kill).
    ///
    /// # Panics
    ///
    /// If the node is shared with other tests.
    pub fn restart(&mut self) {
        let node = self.node.as_mut().expect("only a node of the test's own is restarted");
        node.process = node.recipe.start();
        self.wait();
    }

    fn wait(&mut self) {
        let url = format!("{}/_cluster/health", self.url);
        let node = &mut self.node;
        until("OpenSearch to answer", Duration::from_secs(180), || {
            if let Some(node) = node {
                node.process.assert_running();
            }
            let health = get_json(&url)?;
            match health["status"].as_str() {
                Some("green" | "yellow") => Ok(()),
                other => Err(format!("its health is {other:?}")),
            }
        });
    }

    /// Returns the address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request to the node.
    ///
    /// # Errors
    ///
    /// Says why no answer came.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
        request(method, &format!("{}/{path}", self.url), body)
    }

    /// Sends a signal to the node.
    ///
    /// # Panics
    ///
    /// If the node is shared with other tests.
    pub fn signal(&self, signal: Signal) {
        self.node.as_ref().expect("only a node of the test's own is stopped").process.signal(signal);
    }

    /// Returns every document of an index, in no particular order; none if there is no such index.
    ///
    /// # Errors
    ///
    /// Says why the node did not answer.
    pub fn documents(&self, index: &str) -> Result<Vec<Value>, String> {
        let mut found = Vec::new();
        self.each_document(index, |document| found.push(document))?;
        Ok(found)
    }

    /// Shows every document of an index, in no particular order; none if there is no such index.
    ///
    /// # Errors
    ///
    /// Says why the node did not answer.
    pub fn each_document(&self, index: &str, mut see: impl FnMut(Value)) -> Result<(), String> {
        let refreshed = self.request("POST", &format!("{index}/_refresh"), None)?;
        if refreshed.status == 404 {
            return Ok(());
        }
        let query = json!({"size": 5000, "sort": ["_doc"]});
        let mut answer = self.request("POST", &format!("{index}/_search?scroll=1m"), Some(&query))?;
        loop {
            if answer.status != 200 {
                return Err(format!("search answered {}: {}", answer.status, answer.body));
            }
            let mut page = answer.json();
            let scroll = page["_scroll_id"].take();
            let Value::Array(hits) = page["hits"]["hits"].take() else { return Err("no hits".into()) };
            if hits.is_empty() {
                self.request("DELETE", "_search/scroll", Some(&json!({"scroll_id": scroll})))?;
                return Ok(());
            }
            hits.into_iter().for_each(&mut see);
            let next = json!({"scroll": "1m", "scroll_id": scroll});
            answer = self.request("POST", "_search/scroll", Some(&next))?;
        }
    }

    /// Returns how many documents an index has; none if there is no such index.
    ///
    /// # Errors
    ///
    /// Says why the node did not answer.
    pub fn count(&self, index: &str) -> Result<u64, String> {
        self.request("POST", &format!("{index}/_refresh"), None)?;
        let answer = self.request("GET", &format!("{index}/_count"), None)?;
        match answer.status {
            200 => answer.json()["count"].as_u64().ok_or_else(|| "no count".into()),
            404 => Ok(0),
            status => Err(format!("count answered {status}: {}", answer.body)),
        }
    }
}
