"""Pickles that try to run something, to fill memory, or to be read without end; in a zip file and in a legacy one."""

import pickle
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from attacks import Attack

CANARY = "executed"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

# Each with a text as its argument; what scanners of pickles have let through stands beside what all of them know.
_NAMED = """
os.system posix.system nt.system os.popen os.execv subprocess.Popen subprocess.getoutput commands.getoutput
pty.spawn platform.popen builtins.eval builtins.exec builtins.compile builtins.open builtins.getattr builtins.__import__
builtins.breakpoint builtins.setattr builtins.globals __builtin__.eval __builtin__.apply __builtin__.execfile
importlib.import_module runpy.run_path runpy._run_code shutil.rmtree shutil.copyfile webbrowser.open ctypes.CDLL
marshal.loads types.FunctionType types.CodeType pickle.loads pickle._loads operator.attrgetter operator.methodcaller
functools.partial functools.reduce io.open _io.FileIO code.InteractiveInterpreter codecs.open timeit.timeit
cProfile.run profile.run pdb.run bdb.Bdb doctest.debug_script trace.Trace pydoc.pipepager pydoc.locate
pip.main ensurepip._run_pip venv.create idlelib.pyshell.ModifiedInterpreter lib2to3.pgen2.grammar.Grammar.loadGrammar
asyncio.create_subprocess_shell asyncio.unix_events._UnixSubprocessTransport._start multiprocessing.util.spawnv_passfds
signal.signal socket.socket socketserver.TCPServer http.client.HTTPSConnection urllib.request.urlopen requests.get
smtplib.SMTP ftplib.FTP sqlite3.connect ssl.SSLSocket xmlrpc.client.ServerProxy tempfile.mkstemp glob.glob
linecache.getlines inspect.getsource gc.get_objects sys.exit logging.config._resolve distutils.spawn.spawn
numpy.load numpy.testing._private.utils.runstring numpy.f2py.crackfortran.myeval numpy.f2py.diagnose.run_command
numpy.core.memmap numpy.memmap torch.load torch.hub.load torch.jit.load torch.package.PackageImporter
torch.serialization.load torch.storage._load_from_bytes torch._utils._rebuild_parameter_in_place
torch.utils._config_module.load_config torch.utils.bottleneck.__main__.run_cprofile torch.utils.collect_env.run
torch._dynamo.guards.GuardBuilder.get torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression
torch.distributed.rpc.internal.PythonUDF torch._inductor.codecache.compile_file torch.ops.load_library
pandas.eval pandas.read_pickle joblib.load dill.loads cloudpickle.loads yaml.unsafe_load
"""
FUNCTIONS = _NAMED.split()

_STEPS_TOO_MANY = 2_000_001
_DEEP = 100_000


def called(function: str) -> bytes:
    """Return a pickle that calls a function with a text that would leave a canary, or be harmless."""
    module, _, name = function.rpartition(".")
    return b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n" + _text(f"touch {CANARY}") + b"\x85R."


def _text(said: str) -> bytes:
    return b"X" + struct.pack("<I", len(said)) + said.encode()


def _stacked(module: str, name: str) -> bytes:
    return b"\x80\x04" + _text(module) + _text(name) + b"\x93"


_SYSTEM = b"cos\nsystem\n"
_ARGUMENT = _text(f"touch {CANARY}")
_LAUGHS = b"".join(b"h%cq%c0h%ch%c\x86q%c0" % (n, n, n, n, n + 1) for n in range(60))

ROUTES: dict[str, tuple[bytes, str]] = {
    "REDUCE inside a state": (
        b"\x80\x02cmy\nClass\n)\x81}X\x01\x00\x00\x00a" + _SYSTEM + _ARGUMENT + b"\x85Rsb.",
        "os.system",
    ),
    "REDUCE of what a REDUCE returns": (
        b"\x80\x02cbuiltins\ngetattr\ncos\n\n" + _ARGUMENT + b"\x86R)R.",
        "builtins.getattr",
    ),
    "a chain of getattr": (
        b"\x80\x02cbuiltins\ngetattr\ncbuiltins\ngetattr\ncbuiltins\n__import__\n" + _text("os") + b"\x85R"
        + _text("path") + b"\x86R" + _text("os") + b"\x86R" + _ARGUMENT + b"\x85R.",
        "builtins.getattr",
    ),
    "a chain of getattr on what is known": (
        b"\x80\x02cbuiltins\ngetattr\ncbuiltins\ngetattr\nctorch\nSize\n" + _text("__init__") + b"\x86R"
        + _text("__globals__") + b"\x86R.",
        "builtins.getattr",
    ),
    "REDUCE of an object": (b"\x80\x02cmy\nClass\n)\x81" + _ARGUMENT + b"\x85R.", "calls a Inert"),
    "STACK_GLOBAL": (_stacked("os", "system") + _ARGUMENT + b"\x85R.", "os.system"),
    "STACK_GLOBAL by a dotted name": (_stacked("torch", "os.system") + _ARGUMENT + b"\x85R.", "torch.os.system"),
    "STACK_GLOBAL through a package": (_stacked("torch.nn", "functools.os.popen") + b")R.", "functools.os.popen"),
    "STACK_GLOBAL from the memo": (
        b"\x80\x04" + _text("os") + b"\x940" + _text("system") + b"\x940h\x00h\x01\x93.",
        "os.system",
    ),
    "INST": (b"(" + _ARGUMENT + b"ios\nsystem\n.", "opcode INST"),
    "OBJ": (b"\x80\x02(" + _SYSTEM + _ARGUMENT + b"o.", "os.system"),
    "NEWOBJ": (b"\x80\x02csubprocess\nPopen\n" + _ARGUMENT + b"\x85\x81.", "subprocess.Popen"),
    "NEWOBJ_EX": (b"\x80\x04csubprocess\nPopen\n)}\x92.", "subprocess.Popen"),
    "EXT1": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "opcode EXT4"),
    "BUILD of a function": (b"\x80\x02ctorch\nSize\n}" + _text("__call__") + _SYSTEM + b"sb.", "os.system"),
    "BUILD of a known name": (b"\x80\x02ctorch\nSize\n}b.", "changes torch.Size itself"),
    "a class whose module is a path": (b"\x80\x02c../../evil\nClass\n)R.", "../../evil.Class"),
    "a persistent id in words": (b"Pos.system\n.", "opcode PERSID"),
    "a persistent id that is no storage": (b"\x80\x02" + _text("os.system") + b"Q.", "no storage of a known type"),
    "a persistent id of code": (b"\x80\x02(" + _text("storage") + _SYSTEM + _ARGUMENT + b"tQ.", "os.system"),
    "a persistent id of a persistent id": (b"\x80\x02NQQ.", "no storage of a known type"),
    "a memo of two thousand million": (b"\x80\x02}r\xff\xff\xff\x7f.", "numbers its 3th value"),
    "a text as long as memory": (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc.", "makes no sense"),
    "bytes as long as memory": (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7fabc.", "makes no sense"),
    "a frame as long as memory": (b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f}.", "no LSTM"),
    "a number in words of a million digits": (b"I" + b"9" * 1_000_000 + b"\n.", "makes no sense"),
    "a list for each byte": (b"\x80\x02(" + b"]" * _STEPS_TOO_MANY + b"t.", "more than 2000000 opcodes"),
    "a memo for each byte": (b"\x80\x04" + b"]\x94" * (_STEPS_TOO_MANY // 2) + b".", "more than 2000000 opcodes"),
    "lists nested deep": (b"\x80\x02" + b"]" * _DEEP + b"a" * (_DEEP - 1) + b".", "no bounds"),
    "tuples nested deep, as an offset": (b"\x80\x02" + b")" + b"\x85" * _DEEP + b".", ""),
    "laughs, a thousand million million of them": (b"\x80\x02]q\x000" + _LAUGHS + b"h\x3c.", "no LSTM"),
    "laughs that name objects": (b"\x80\x02cmy\nC\n)\x81q\x000" + _LAUGHS + b"h\x3c.", "no bounds"),
    "a list in itself": (b"\x80\x02]q\x00h\x00a.", "no LSTM"),
}  # fmt: skip


def of_opcodes() -> Iterator[tuple[str, bytes]]:
    """Yield a pickle for every opcode that there is, after values of every kind."""
    values = b"\x80\x02}]" + b"(" + b")K\x01" + _text("torch") + _text("Size") + b"ctorch\nSize\n)"
    for opcode in pickletools.opcodes:
        argument = b"\x01\x00\x00\x00\x00\x00\x00\x00a\nb\n" if opcode.arg is not None else b""
        yield opcode.name, values + opcode.code.encode("latin-1") + argument + b"."


def in_a_zip(pickled: bytes, folder: Path) -> None:
    """Write a torch zip file with a pickle and one storage."""
    with zipfile.ZipFile(folder / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", bytes(24))


def as_legacy(pickled: bytes, folder: Path) -> None:
    """Write a torch file from before 1.6 with a pickle."""
    before = b"".join(pickle.dumps(value, 2) for value in (LEGACY_MAGIC, 1001, {"little_endian": True}))
    (folder / "a.pt").write_bytes(before + pickled + pickle.dumps([], 2))


def attacks() -> Iterator[Attack]:
    """Yield every pickle in both kinds of file."""
    pickles = {
        **{f"call of {function}": (called(function), _spelled(function)) for function in FUNCTIONS},
        **ROUTES,
        **{f"opcode {name}": (pickled, "") for name, pickled in of_opcodes()},
    }
    for kind, build in (("zip", in_a_zip), ("legacy", as_legacy)):
        for name, (pickled, said) in pickles.items():
            yield Attack(f"{kind}: {name}", "a.pt", partial(build, pickled), said)


def _spelled(function: str) -> str:
    return function.replace("__builtin__", "builtins")
