//! Starts an agent on each node, and tells what became of it.

use super::meeting::{Invitation, write_line};
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What starts a program on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// All agents run on this host.
    Local,
    /// Words of a command that runs the words after it; each `{node}` in them stands for the
    /// node.
    Command(Vec<String>),
}

/// The command of `--launcher srun`.
const SRUN: &str = "srun --nodes=1 --ntasks=1 --overlap --nodelist={node}";

/// What is no launcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LauncherError {
    /// All nodes would be the same.
    #[error(
        "the launcher `{0}` starts the same on every node; say where the name of the node \
         belongs, as in \"ssh {{node}}\""
    )]
    WithoutNode(String),
}

impl FromStr for Launcher {
    type Err = LauncherError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "local" => Ok(Launcher::Local),
            "srun" => SRUN.parse(),
            other if other.contains("{node}") => {
                let words = other.split_whitespace().map(str::to_owned);
                Ok(Launcher::Command(words.collect()))
            }
            other => Err(LauncherError::WithoutNode(other.to_owned())),
        }
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Launcher::Local => f.write_str("local"),
            Launcher::Command(words) => f.write_str(&words.join(" ")),
        }
    }
}

impl Launcher {
    /// The words before those of the program, on `node`.
    pub fn command(&self, node: &str) -> Vec<String> {
        match self {
            Launcher::Local => vec![],
            Launcher::Command(words) => {
                let words = words.iter();
                words.map(|word| word.replace("{node}", node)).collect()
            }
        }
    }
}

/// The agents of a run, or what started them; those that are left are ended with this.
#[derive(Default)]
pub struct Agents(Vec<Agent>);

struct Agent {
    child: Child,
    /// The last lines on its standard error.
    said: Arc<Mutex<VecDeque<String>>>,
}

/// So many lines are kept.
const LINES: usize = 10;
/// How long whoever has said all, or was asked to end, may take.
const FAREWELL: Duration = Duration::from_secs(2);

impl Agents {
    /// Starts the agent of one more node.
    pub fn start(
        &mut self,
        launcher: &Launcher,
        node: &str,
        invitation: &Invitation,
    ) -> Result<()> {
        let program = std::env::current_exe().context("cannot find the hallux program")?;
        let mut words = launcher.command(node).into_iter();
        let mut command = match words.next() {
            None => Command::new(&program),
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&program);
                command
            }
        };
        let mut child = command
            .arg("agent")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for this process, which ends the others in order.
            .process_group(0)
            .spawn()
            .with_context(|| {
                let name = command.get_program().display();
                format!(
                    "cannot start `{name}` for node {node}; choose with --launcher what starts \
                     agents"
                )
            })?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who has ended already is noticed by that.
            let _ended = write_line(&mut stdin, invitation);
        }
        let said = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stderr) = child.stderr.take() {
            listen(node.to_owned(), stderr, Arc::clone(&said));
        }
        self.0.push(Agent { child, said });
        Ok(())
    }

    /// How the launcher of a node ended, if it has.
    pub fn has_ended(&mut self, node: usize) -> Option<String> {
        let agent = &mut self.0[node];
        let status = agent.child.try_wait().ok().flatten()?;
        // What it said last is still on its way.
        thread::sleep(Duration::from_millis(50));
        Some(agent.tell(status))
    }

    /// What became of an agent whose stream has ended, or failed with `error`.
    pub fn explain(&mut self, node: usize, error: Option<io::Error>) -> String {
        match error {
            Some(error) if is_silence(&error) => {
                let silence = hallux_cosim::engine::SILENCE.as_secs();
                return format!("was not heard of for {silence} s");
            }
            _ => {}
        }
        let agent = &mut self.0[node];
        match (agent.ends_within(FAREWELL), error) {
            (Some(status), _) => agent.tell(status),
            (None, Some(error)) => format!("is lost: {error}"),
            (None, None) => "ended early".to_owned(),
        }
    }

    /// Waits for agents that have said all.
    pub fn wait(&mut self) {
        for agent in &mut self.0 {
            let _late = agent.ends_within(FAREWELL);
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}

impl Agent {
    fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + time;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }

    fn tell(&self, status: ExitStatus) -> String {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            (_, Some(code)) => format!("ended early with exit code {code}"),
            _ => "ended early".to_owned(),
        };
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.back() {
            Some(line) => format!("{how}: {}", line.trim_start_matches("error: ")),
            None => how,
        }
    }
}

/// Keeps the last lines of what an agent says, and shows all to who wants to know.
fn listen(node: String, stderr: impl Read + Send + 'static, said: Arc<Mutex<VecDeque<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            tracing::info!("{node}: {line}");
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_back(line);
            if said.len() > LINES {
                said.pop_front();
            }
        }
    });
}

impl Drop for Agents {
    fn drop(&mut self) {
        for agent in &mut self.0 {
            if let Ok(None) = agent.child.try_wait() {
                // Launchers pass this on; they would not pass on that they are killed.
                let process = rustix::process::Pid::from_child(&agent.child);
                let _gone = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            }
        }
        for agent in &mut self.0 {
            if agent.ends_within(FAREWELL).is_none() {
                let _gone = agent.child.kill();
                let _reaped = agent.child.wait();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_is_a_command_with_a_place_for_the_node() {
        let launcher: Launcher = "ip netns exec {node} nice".parse().unwrap();
        let words = ["ip", "netns", "exec", "left", "nice"];
        assert_eq!(launcher.command("left"), words);
        assert_eq!("local".parse(), Ok(Launcher::Local));
        let srun: Launcher = "srun".parse().unwrap();
        assert_eq!(srun.command("n7").last().unwrap(), "--nodelist=n7");
        let wrong = "ssh".parse::<Launcher>().unwrap_err();
        assert!(wrong.to_string().contains("`ssh`"), "{wrong}");
    }
}
