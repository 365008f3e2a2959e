#!/usr/bin/env python3
"""Does the fuzzer find faults of the emitter?

Builds a copy of the project whose printer of expressions and statements has the faults
below, one of which can be switched on, and runs the fuzzer with each: a table of the
programs that it took. Fails if a fault stays hidden, or if something is found without one.

    ci/mutate_emitter.py [--programs N] [--vectors M] [--seed S] [--scratch DIR]
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROJECT = pathlib.Path(__file__).resolve().parent.parent
PRINTER = "hdl-gen/kit/src/lower/print.rs"

# What goes wrong; the text in the printer; the text with `FAULT`, which is true while this
# fault is switched on.
FAULTS = [
    (
        "the complement in a reduction stands without parentheses: ^~x",
        "Kind::Not(..) => format!(\"({})\", self.expression(inner)),",
        "Kind::Not(..) if !FAULT => format!(\"({})\", self.expression(inner)),",
    ),
    (
        "the right operand stands without parentheses: a - b - c",
        "            _ => self.operand(b),\n        };\n        format!(\"{left} {sign} {right}\")",
        "            _ if FAULT => self.expression(b),\n"
        "            _ => self.operand(b),\n        };\n        format!(\"{left} {sign} {right}\")",
    ),
    (
        "the complement of a sum stands without parentheses: ~a + b",
        "format!(\"{sign}{}\", self.operand(inner))\n            }\n            Kind::Reduce",
        "if FAULT {\n                    return format!(\"{sign}{}\", self.expression(inner));\n"
        "                }\n                format!(\"{sign}{}\", self.operand(inner))\n"
        "            }\n            Kind::Reduce",
    ),
    (
        "a long chain that is broken into lines loses parentheses",
        "let right = self.operand(b);\n            out.push(right);",
        "let right = if FAULT { self.expression(b) } else { self.operand(b) };\n"
        "            out.push(right);",
    ),
    (
        "an index that is widened lets a carry through",
        "        Kind::Binary(op, ..) => !op.is_comparison(),",
        "        Kind::Binary(op, ..) => !FAULT && !op.is_comparison(),",
    ),
    (
        "masks keep no more than 64 bits",
        "        _ => format!(\"{width}'h{value:x}\"),\n    }\n}",
        "        _ if FAULT => format!(\"{width}'h{:x}\", value & BigUint::from(u64::MAX)),\n"
        "        _ => format!(\"{width}'h{value:x}\"),\n    }\n}",
    ),
    (
        "an empty branch does not turn its condition round",
        "_ => Node::new(Kind::Not(condition.clone()), 1),",
        "_ if FAULT => condition.clone(),\n"
        "                _ => Node::new(Kind::Not(condition.clone()), 1),",
    ),
    (
        "the offset of a computed position is forgotten",
        "        match offset {\n            0 => text,",
        "        match offset {\n            _ if FAULT => text,\n            0 => text,",
    ),
    (
        "a field is read from its wire while its structure is changing",
        "if !self.changing.contains(&source)\n",
        "if (FAULT || !self.changing.contains(&source))\n",
    ),
    (
        "a match without a last arm for the rest has none in the RTL either",
        "let last = case.default.is_none() && position + 1 == count;",
        "let last = !FAULT && case.default.is_none() && position + 1 == count;",
    ),
    (
        "a part of a signal is taken one bit too low",
        "format!(\"{name}[{}:{offset}]{comment}\", offset + width - 1)",
        "{\n            let offset = offset - usize::from(FAULT && offset > 0);\n"
        "            format!(\"{name}[{}:{offset}]{comment}\", offset + width - 1)\n        }",
    ),
]

SWITCH = """
/// Whether the fault with this number is switched on.
fn fault(number: usize) -> bool {
    static ON: std::sync::LazyLock<Option<usize>> =
        std::sync::LazyLock::new(|| std::env::var("FAULT").ok()?.parse().ok());
    *ON == Some(number)
}
"""


def copy_of_the_project(scratch):
    """The files under version control, with the faults in the printer."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file() and not name.startswith("rtl/"):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, scratch / name)
    printer = (scratch / PRINTER).read_text()
    for number, (what, sound, faulty) in enumerate(FAULTS, 1):
        if printer.count(sound) != 1:
            sys.exit(f"{PRINTER} has changed: no single place for fault {number}, {what}")
        printer = printer.replace(sound, faulty.replace("FAULT", f"fault({number})"))
    (scratch / PRINTER).write_text(printer + SWITCH)


def fuzz(scratch, number, options):
    """The last line of a run of the fuzzer with one fault, or none for number 0."""
    run = subprocess.run(
        [
            scratch / "target/release/examples/emitter_fuzz",
            *("--programs", str(options.programs), "--vectors", str(options.vectors)),
            *("--seed", str(options.seed), "--jobs", "1", "--stop"),
        ],
        env={**os.environ, "FAULT": str(number)},
        capture_output=True,
        text=True,
    )
    lines = run.stdout.splitlines()
    if run.returncode not in (0, 1) or not lines:
        sys.exit(f"the fuzzer failed: {run.stderr}")
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=200, help="at most, for each fault")
    parser.add_argument("--vectors", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", type=pathlib.Path, help="where to build; kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = options.scratch or pathlib.Path(temporary)
        copy_of_the_project(scratch)
        build = ["cargo", "build", "--release", "-p", "testbenches"]
        build += ["--example", "emitter_fuzz", "--target-dir", scratch / "target"]
        subprocess.run(build, cwd=scratch, check=True)
        sound = fuzz(scratch, 0, argparse.Namespace(**{**vars(options), "programs": 50}))
        hidden = sound["first"] is not None
        print(f"{'first':>5}  {'differ':>6}  {'refused':>7}  fault")
        print(f"{sound['first'] or '-':>5}  {sound['mismatches']:>6}  {sound['refused']:>7}  none")
        found = []
        for number, (what, _, _) in enumerate(FAULTS, 1):
            last = fuzz(scratch, number, options)
            first = last["first"]
            hidden |= first is None
            print(f"{first or '-':>5}  {last['mismatches']:>6}  {last['refused']:>7}  {what}")
            sys.stdout.flush()
            found.append({"fault": what, "first": first, "mismatches": last["mismatches"]})
        print(json.dumps({"seed": options.seed, "faults": found}))
    return int(hidden)


if __name__ == "__main__":
    sys.exit(main())
