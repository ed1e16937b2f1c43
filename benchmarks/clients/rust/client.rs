//! The benchmark's client on rust_socketio's blocking Client; see ../common.py.

use std::{
    collections::HashSet,
    env, io, process,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rust_socketio::{ClientBuilder, Payload, RawClient, TransportType, client::Client};
use serde_json::json;

const FLOOD: usize = 512;
const CLOCK: usize = 16;

struct Options {
    mode: String,
    port: u16,
    in_flight: usize,
    connections: usize,
    warmup: f64,
    seconds: f64,
}

impl Options {
    fn read(arguments: &[String]) -> Options {
        let given = |name: &str, otherwise: &str| {
            let place = arguments.iter().position(|word| word == name);
            place.map_or(otherwise.to_string(), |at| arguments[at + 1].clone())
        };
        Options {
            mode: given("--mode", "echo"),
            port: given("--port", "5000").parse().unwrap(),
            in_flight: given("--in-flight", "1").parse().unwrap(),
            connections: given("--connections", "1").parse().unwrap(),
            warmup: given("--warmup", "1").parse().unwrap(),
            seconds: given("--seconds", "3").parse().unwrap(),
        }
    }
}

struct Load {
    begun: bool,
    counted: usize,
    came: usize,
    sent: usize,
    awaited: HashSet<String>,
    warm_at: Instant,
    end_at: Instant,
}

impl Load {
    fn new(options: &Options) -> Load {
        let warm_at = Instant::now() + Duration::from_secs_f64(options.warmup);
        Load {
            begun: false,
            counted: 0,
            came: 0,
            sent: 0,
            awaited: HashSet::new(),
            warm_at,
            end_at: warm_at + Duration::from_secs_f64(options.seconds),
        }
    }

    fn begin(&mut self) {
        self.begun = true;
        println!("begin");
    }

    fn end(&self, count: usize) -> ! {
        println!("end {count}");
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
        process::exit(0);
    }

    fn count(&mut self, step: usize) {
        self.came += 1;
        if self.begun {
            self.counted += 1;
        }
        if !self.came.is_multiple_of(step) {
            return;
        }
        let now = Instant::now();
        if !self.begun && now >= self.warm_at {
            self.begin();
        } else if self.begun && now >= self.end_at {
            self.end(self.counted);
        }
    }

    fn new_message(&mut self) -> String {
        self.sent += 1;
        let text = format!("{:032}", self.sent);
        self.awaited.insert(text.clone());
        text
    }
}

fn fail(message: String) -> ! {
    eprintln!("{message}");
    process::exit(1);
}

fn text_of(payload: &Payload) -> &str {
    match payload {
        Payload::Text(values) => values[0].as_str().unwrap(),
        _ => fail(format!("{payload:?} came, which is not text")),
    }
}

/// Connects, and waits until the namespace is joined.
fn connect(
    port: u16,
    event: &str,
    mut handler: impl FnMut(Payload, RawClient) + Send + 'static,
) -> Client {
    let (joined, waiting) = mpsc::channel();
    let client = ClientBuilder::new(format!("http://127.0.0.1:{port}"))
        .transport_type(TransportType::Websocket)
        .reconnect(false)
        .on("open", move |_, _| _ = joined.send(()))
        .on(event, move |payload, client| handler(payload, client))
        .connect()
        .unwrap_or_else(|error| fail(error.to_string()));
    waiting.recv().unwrap();
    client
}

fn idle(port: u16) -> Client {
    connect(port, "unused", |_, _| ())
}

fn echo(options: &Options) {
    let load = Arc::new(Mutex::new(Load::new(options)));
    let step = if options.in_flight > 1 { CLOCK } else { 1 };
    let shared = load.clone();
    let client = connect(options.port, "echo", move |payload, client| {
        let mut load = shared.lock().unwrap();
        let text = text_of(&payload);
        if !load.awaited.remove(text) {
            fail(format!("{text} came, which was not awaited"));
        }
        load.count(step);
        let text = load.new_message();
        drop(load);
        client.emit("echo", json!(text)).unwrap();
    });
    for _ in 0..options.in_flight {
        let text = load.lock().unwrap().new_message();
        client.emit("echo", json!(text)).unwrap();
    }
    loop {
        thread::park();
    }
}

fn flood(options: &Options) {
    let mut load = Load::new(options);
    let client = connect(options.port, "b", move |payload, client| {
        let wanted = load.came % FLOOD;
        let text = text_of(&payload);
        if text.parse::<usize>().ok() != Some(wanted) {
            fail(format!("{text} came instead of {wanted}"));
        }
        load.count(CLOCK);
        if wanted == FLOOD - 1 {
            client.emit("flood", json!(FLOOD)).unwrap();
        }
    });
    client.emit("flood", json!(FLOOD)).unwrap();
    client.emit("flood", json!(FLOOD)).unwrap();
    loop {
        thread::park();
    }
}

fn cycle(options: &Options) {
    let load = Arc::new(Mutex::new(Load::new(options)));
    for _ in 0..options.in_flight {
        let (load, port) = (load.clone(), options.port);
        thread::spawn(move || {
            loop {
                idle(port).disconnect().unwrap();
                load.lock().unwrap().count(1);
            }
        });
    }
    loop {
        thread::park();
    }
}

fn memory(options: &Options) {
    let mut load = Load::new(options);
    let mut kept = vec![idle(options.port)];
    load.begin();
    for _ in 0..options.connections {
        kept.push(idle(options.port));
    }
    load.end(options.connections);
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|word| word == "--versions") {
        let found = json!({"Rust": env!("RUSTC_VERSION"), "rust_socketio": "0.6.0"});
        println!("{found}");
        return;
    }
    let options = Options::read(&arguments);
    match options.mode.as_str() {
        "echo" => echo(&options),
        "flood" => flood(&options),
        "cycle" => cycle(&options),
        "memory" => memory(&options),
        mode => fail(format!("there is no mode {mode}")),
    }
}
