//! A Chromium without a screen, driven as WebDriver describes it.
//!
//! The protocol is a POST with JSON for each command, for which the client of these tests does; the crates for it know
//! neither Chromium's own commands nor its logs, which is what half of the tests are about.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::request;
use crate::place::free_port;
use crate::process::{Process, Recipe};
use crate::wait::{PATIENCE, until};

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    session: String,
    _driver: Process,
}

impl Browser {
    /// Starts a browser that keeps its files in `directory`.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let port = free_port();
        let driver =
            Recipe::new("chromedriver", directory, "chromedriver").arg(format!("--port={port}")).start();
        let url = format!("http://127.0.0.1:{port}/session");
        let profile = format!("--user-data-dir={}", directory.join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            &profile,
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "unhandledPromptBehavior": "accept",
        }}});
        let id = until("a browser", PATIENCE, || {
            let answer = request("POST", &url, Some(&capabilities))?;
            let id = answer.json()["value"]["sessionId"].as_str().map(str::to_owned);
            id.ok_or(format!("chromedriver answered {}; `tests/setup` installs chromium", answer.body))
        });
        Self { session: format!("{url}/{id}"), _driver: driver }
    }

    #[track_caller]
    fn command(&self, path: &str, body: &Value) -> Value {
        self.try_command(path, body).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_command(&self, path: &str, body: &Value) -> Result<Value, String> {
        let answer = request("POST", &format!("{}/{path}", self.session), Some(body))?;
        if answer.status == 200 {
            Ok(answer.json()["value"].clone())
        } else {
            Err(format!("{path}: {}", answer.body))
        }
    }

    /// Opens a page.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// Runs the body of a function in the page and returns what it returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// One of Chromium's own commands.
    #[track_caller]
    pub fn own(&self, command: &str, parameters: Value) {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    /// The window, and which colours the person likes.
    pub fn look(&self, width: u32, height: u32, scheme: &str) {
        self.own(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 720}),
        );
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.own("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Presses keys, one after the other: letters, or names such as `Enter`.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        let held = |key: &str| matches!(key, "Control" | "Shift");
        let mut actions = Vec::new();
        for keys in keys {
            let parts: Vec<&str> =
                if keys.len() > 1 && keys.contains('+') { keys.split('+').collect() } else { vec![keys] };
            for part in &parts {
                let letters: Vec<String> = key(part)
                    .map_or_else(|| part.chars().map(String::from).collect(), |one| vec![one.to_owned()]);
                for letter in letters {
                    actions.push(json!({"type": "keyDown", "value": letter}));
                    if !held(part) {
                        actions.push(json!({"type": "keyUp", "value": letter}));
                    }
                }
            }
            for part in parts.iter().filter(|part| held(part)) {
                actions.push(json!({"type": "keyUp", "value": key(part)}));
            }
        }
        self.command("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    /// Waits until an expression in the page is true.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) {
        until(expression, PATIENCE, || {
            let is = self.try_command(
                "execute/sync",
                &json!({"script": format!("return Boolean({expression})"), "args": []}),
            )?;
            if is == true { Ok(()) } else { Err(self.text()) }
        });
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        // A name that is cut in its middle is in two parts, between which only the first has a break.
        let within = "[document.body.innerText, document.body.textContent]";
        self.wait_for(&format!("{within}.some(text => text.includes({}))", json!(text)));
    }

    /// What the page shows.
    #[must_use]
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The window as a PNG.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let answer =
            request("GET", &format!("{}/screenshot", self.session), None).expect("the browser answers");
        STANDARD.decode(answer.json()["value"].as_str().unwrap_or_default()).expect("a picture in base64")
    }

    fn log(&self, name: &str) -> Vec<String> {
        let entries = self.command("se/log", &json!({ "type": name }));
        let texts = entries.as_array().into_iter().flatten().filter_map(|entry| entry["message"].as_str());
        texts.map(str::to_owned).collect()
    }

    /// What the console of the browser got since the last call: errors of scripts, refused content, failed requests.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.log("browser")
    }

    /// Where the page sent requests since the last call.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let events = self.log("performance");
        let events = events.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let sent = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        // Chromium's own first page is no page of ours.
        sent.filter_map(|event| event["message"]["params"]["request"]["url"].as_str().map(str::to_owned))
            .filter(|url| !url.starts_with("chrome:"))
            .collect()
    }
}

/// A key without a letter, as WebDriver numbers it.
fn key(name: &str) -> Option<&'static str> {
    Some(match name {
        "Enter" => "\u{e007}",
        "Escape" => "\u{e00c}",
        "Tab" => "\u{e004}",
        "Down" => "\u{e015}",
        "Up" => "\u{e013}",
        "End" => "\u{e010}",
        "Control" => "\u{e009}",
        "Shift" => "\u{e008}",
        _ => return None,
    })
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver alone would leave the browser behind.
        let _ = crate::http::request_with("DELETE", &self.session, &[], None);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A package of npm that `tests/setup` installs.
#[must_use]
pub fn package(path: &str) -> PathBuf {
    crate::place::installed("npm").join("node_modules").join(path)
}
