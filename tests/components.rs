//! Components as processes of their own, put together by hand over SimBricks channels.

mod command;

use command::{Ended, PROJECT, Place, SMALL_NIC};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The example of RPCs between two TOEs, with the small design point of the tests.
fn rpc_place() -> Place {
    let place = Place::new();
    let example = fs::read_to_string(format!("{PROJECT}/examples/rpc-echo.toml")).unwrap();
    let design = format!("design = \"{PROJECT}/examples/designs/toe-100g.toml\"\n{SMALL_NIC}");
    let scenario = example.replace("design = \"designs/toe-100g.toml\"", &design);
    assert_ne!(example, scenario);
    place.write("scenario.toml", scenario);
    place
}

/// A component that was started; killed when the test fails.
struct Started(Option<Child>);

impl Started {
    fn new(place: &Place, line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = place.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn signal(&self, signal: &str) {
        let id = self.0.as_ref().unwrap().id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([signal, &id]).status().unwrap().success());
    }

    /// Waits for its end, not long.
    #[track_caller]
    fn ends(mut self, within: Duration) -> Ended {
        let started = Instant::now();
        while self.0.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(started.elapsed() < within, "no end within {within:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const LONG: Duration = Duration::from_secs(60);
const PCIE: &str = "sync=true:latency=100ns";
const ETH: &str = "sync=true:latency=500ns";

/// Waits until `name` exists.
fn appears(place: &Place, name: &str) {
    let started = Instant::now();
    while !place.path(name).exists() {
        assert!(started.elapsed() < LONG, "{name} does not appear");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The scenario in five processes; the NIC of the server is observed.
fn five(place: &Place, options: &str) -> Vec<Ended> {
    let parts = five_of_which_one_differs(place, options, options);
    parts.map(Ended::succeeds).into()
}

/// The same, with other options for the wire.
fn five_of_which_one_differs(place: &Place, options: &str, of_the_wire: &str) -> [Ended; 5] {
    let start = |line: String| Started::new(place, &format!("{line} {options}"));
    let nic = |side: &str, more: &str| {
        start(format!(
            "nic scenario.toml#{side}-nic --pcie listen:{side}.pcie:{side}.shm:{PCIE} \
             --eth listen:{side}.eth:{side}.shm:{ETH} {more}"
        ))
    };
    let host = |side: &str| {
        start(format!(
            "host scenario.toml#{side} --pcie connect:{side}.pcie:{PCIE}"
        ))
    };
    let parts = [
        nic("server", "--pcapng parts.pcapng --pcie-log parts.tsv"),
        nic("client", ""),
        Started::new(
            place,
            &format!("net wire connect:server.eth:{ETH} connect:client.eth:{ETH} {of_the_wire}"),
        ),
        host("server"),
        host("client"),
    ];
    parts.map(|part| part.ends(LONG))
}

#[test]
fn five_processes_do_to_the_byte_what_one_does() {
    let place = rpc_place();
    let whole = [
        "run",
        "scenario.toml",
        "--out",
        "whole",
        "--pcapng",
        "server-nic.eth=whole.pcapng",
        "--pcie-log",
        "whole.tsv",
    ];
    place.hallux(&whole).succeeds();
    let summary = place.json("whole/summary.json");
    let end = summary["simulated_ps"].as_u64().unwrap();
    let parts = five(&place, &format!("--until {end}ps"));
    assert!(
        parts[4].stdout.contains("25600 bytes verified"),
        "{parts:#?}"
    );
    assert!(
        parts[0].stderr.contains("latency=500000ps"),
        "effective times are told: {parts:#?}"
    );
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(read("whole.pcapng") == read("parts.pcapng"), "other frames");
    let (whole, parts) = (place.read("whole.tsv"), place.read("parts.tsv"));
    let ours = whole.lines().filter(|line| !line.contains("client-nic"));
    assert!(ours.eq(parts.lines()), "other messages on PCIe");
    let left = place.contents();
    assert!(
        left.iter()
            .all(|name| !name.ends_with(".pcie") && !name.ends_with(".eth")),
        "{left:?}"
    );
}

/// How far a component is when it hears that a peer is gone is up to the processor.
#[test]
fn a_given_end_holds_although_a_peer_ends_before() {
    let parts = five_of_which_one_differs(&rpc_place(), "--until 30us", "--until 10us");
    for (part, end) in parts.iter().zip(["30us", "30us", "10us", "30us", "30us"]) {
        let reached = format!("simulated {end} in");
        assert!(part.stderr.contains(&reached), "{end}: {part:#?}");
    }
}

/// Without a time to end at, the client's work ends the run of all.
#[test]
fn the_end_of_the_work_ends_everybody() {
    let place = rpc_place();
    let parts = five(&place, "");
    assert!(
        parts[4].stdout.contains("25600 bytes verified"),
        "{parts:#?}"
    );
}

#[test]
fn signals_report_and_end() {
    let place = Place::new();
    let traffic = |end: &str| Started::new(&place, &format!("net traffic {end} --load 1Gbps"));
    for signal in ["-INT", "-TERM"] {
        let listening = traffic(&format!("listen:a:a.shm:{ETH}"));
        appears(&place, "a");
        let connecting = traffic(&format!("connect:a:{ETH}"));
        std::thread::sleep(Duration::from_millis(300));
        connecting.signal("-USR1");
        std::thread::sleep(Duration::from_millis(300));
        listening.signal(signal);
        let first = listening.ends(LONG).succeeds();
        assert!(first.stdout.contains("traffic-1 frames_sent"), "{first:#?}");
        let second = connecting.ends(LONG).succeeds();
        let reports = second.stderr.matches("hallux: simulated ").count();
        assert_eq!(reports, 2, "{second:#?}");
        assert!(second.stderr.contains("us a second"), "{second:#?}");
        assert!(
            second.stderr.contains("port eth0: synchronised"),
            "{second:#?}"
        );
        assert!(!place.path("a").exists(), "the socket is removed");
    }
    // Also while nobody has come.
    let alone = traffic(&format!("listen:b:b.shm:{ETH}"));
    appears(&place, "b");
    alone.signal("-TERM");
    alone
        .ends(Duration::from_secs(5))
        .fails_with(&["cancelled", "`b`"]);
    assert!(!place.path("b").exists());
}

#[test]
fn a_killed_peer_is_noticed_within_a_second_and_its_socket_replaced() {
    let place = Place::new();
    let traffic = |end: &str| Started::new(&place, &format!("net traffic {end} --load 1Gbps"));
    let listening = traffic(&format!("listen:a:a.shm:{ETH}"));
    appears(&place, "a");
    let connecting = traffic(&format!("connect:a:{ETH}"));
    std::thread::sleep(Duration::from_millis(300));
    connecting.signal("-KILL");
    let told = listening.ends(Duration::from_secs(2));
    told.fails_with(&["the peer is gone", "`a`"]);
    // A listener that is killed leaves its socket; the next one takes its place.
    let killed = traffic(&format!("listen:a:a.shm:{ETH}"));
    appears(&place, "a");
    killed.signal("-KILL");
    drop(killed);
    let second = traffic(&format!("listen:a:a.shm:{ETH} --until 50us"));
    let other = traffic(&format!("connect:a:{ETH} --until 50us"));
    second.ends(LONG).succeeds();
    other.ends(LONG).succeeds();
}

#[test]
fn ports_that_are_not_synchronised_carry_frames() {
    let place = Place::new();
    let free = "sync=false:latency=500ns";
    let sink = Started::new(
        &place,
        &format!("net traffic listen:a:a.shm:{free} --count 0"),
    );
    appears(&place, "a");
    let source = Started::new(
        &place,
        &format!("net traffic connect:a:{free} --count 20 --until 1ms"),
    );
    source.ends(LONG).succeeds();
    let sink = sink.ends(LONG).succeeds();
    assert!(sink.stdout.contains("frames_received 20"), "{sink:#?}");
}

#[test]
fn mistakes_are_told() {
    let place = rpc_place();
    let run = |line: &str| place.hallux(&line.split_whitespace().collect::<Vec<_>>());
    run("net traffic there:a:b").misused_with(&["there:a:b", "listen:"]);
    run("net traffic connect:a").misused_with(&["connect:a", "sync=true"]);
    run("net traffic connect:a:sync=maybe").misused_with(&["sync=maybe"]);
    run("net traffic connect:a:sync=true:delay=3").misused_with(&["delay=3"]);
    run("net traffic connect:a:sync=true:latency=0ns").misused_with(&["latency"]);
    run("net traffic connect:a:sync=true --wait 0").fails_with(&["`a`", "no peer"]);
    run("net wire connect:a:sync=true connect:b:sync=true --loss 2").fails_with(&["--loss 2"]);
    run("host scenario.toml --pcie connect:a:sync=true").fails_with(&["rpc-echo.toml#server"]);
    run("host scenario.toml#serer --pcie connect:a:sync=true")
        .fails_with(&["`serer`", "server, client"]);
    run("host scenario.toml#server --eth connect:a:sync=true").fails_with(&["`pcie`", "--pcie"]);
    place.write("file", "no socket");
    run("net traffic listen:file:shm:sync=true").fails_with(&["`file`", "no socket"]);
    // The wrong protocol at the other end.
    let wrong = Started::new(&place, &format!("net traffic listen:w:w.shm:{ETH}"));
    appears(&place, "w");
    run(&format!(
        "host scenario.toml#server --pcie connect:w:{PCIE}"
    ))
    .fails_with(&["`w`", "speaks Ethernet, this end PCIe"]);
    wrong.ends(LONG).fails_with(&["`w`"]);
}

/// The commands of a block of docs/simbricks.md that holds `part`, one a line.
fn documented(part: &str) -> Vec<String> {
    let page = fs::read_to_string(format!("{PROJECT}/docs/simbricks.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
    let block = blocks.find(|block| block.contains(part)).unwrap();
    block.lines().map(str::to_owned).collect()
}

/// Starts each command of the page, as it stands there.
fn start_all(place: &Place, commands: &[String]) -> Vec<Started> {
    let arguments = |line: &String| line.strip_prefix("hallux ").map(str::to_owned);
    let commands: Vec<String> = commands.iter().filter_map(arguments).collect();
    assert!(!commands.is_empty());
    commands
        .iter()
        .map(|command| Started::new(place, command))
        .collect()
}

/// The five commands of the page, the network among them as it is or another.
#[track_caller]
fn assert_page(network: Option<&str>) {
    let place = rpc_place();
    fs::rename(place.path("scenario.toml"), place.path("rpc-echo.toml")).unwrap();
    let mut commands = documented("hallux host rpc-echo.toml#client");
    if let Some(network) = network {
        let place = commands.iter().position(|line| line.contains("hallux net"));
        commands[place.unwrap()] = documented(network).remove(0);
    }
    let started = start_all(&place, &commands);
    assert_eq!(started.len(), 5);
    let ended: Vec<Ended> = started
        .into_iter()
        .map(|part| part.ends(LONG).succeeds())
        .collect();
    assert!(
        ended[4].stdout.contains("25600 bytes verified"),
        "{ended:#?}"
    );
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    assert_page(None);
}

#[test]
fn the_switch_of_the_page_takes_the_place_of_the_wire() {
    assert_page(Some("hallux net switch connect:"));
}

/// Any client of SimBricks' memory protocol can use the memory.
#[test]
fn a_memory_answers_its_client() {
    use hallux_channel::simbricks::{Address, Delivery, Endpoint, Options, Role, SyncMode};
    use hallux_channel::{Message, Time};
    let place = Place::new();
    let latency = Time::from_ns(500);
    let memory = Started::new(
        &place,
        "memory listen:m:m.shm:sync=true:latency=500ns --access 80ns",
    );
    let address = Address::connect(place.path("m"), SyncMode::Required, latency);
    let options = Options::default();
    let mut client = Endpoint::establish(&address, Role::MemoryClient, &options).unwrap();
    let write = Message::MemoryWrite {
        req_id: 1,
        space: 0,
        addr: 64,
        data: b"Hallux".to_vec().into(),
        posted: false,
    };
    let read = Message::MemoryRead {
        req_id: 2,
        space: 0,
        addr: 64,
        len: 6,
    };
    for message in [write, read] {
        assert_eq!(
            client.try_send(Time::ZERO, &message).unwrap(),
            Delivery::Sent
        );
    }
    // The times of both go on until it has answered.
    let (mut answers, mut now) = (vec![], Time::ZERO);
    while answers.len() < 2 {
        now = now.max(client.bound().since(Time::from_ps(1)));
        client.promise(now).unwrap();
        answers.extend(client.poll().unwrap());
        std::thread::yield_now();
    }
    let at = latency + Time::from_ns(80) + latency;
    let expected = [
        (at, Message::MemoryWriteCompletion { req_id: 1 }),
        (
            at,
            Message::MemoryReadCompletion {
                req_id: 2,
                data: b"Hallux".to_vec().into(),
            },
        ),
    ];
    assert_eq!(answers, expected);
    client.terminate().unwrap();
    let ended = memory.ends(LONG).succeeds();
    assert!(ended.stdout.contains("memory reads 1"), "{ended:#?}");
}
