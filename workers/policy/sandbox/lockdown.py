"""What a process gives up for good before it touches an untrusted graph. Linux; pure system calls through ctypes.

Every step is taken where the kernel has it, and the list of those taken is recorded with the results. What stays:
memory, time, the file descriptors that are already open. Sources: landlock(7), seccomp(2), prctl(2), setrlimit(2).
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_RESTRICT_SELF = 444, 446
NOBODY = 65534
STDERR_BYTES = 65536

CLONE_THREAD, CLONE3, FIRST_ARGUMENT = 0x10000, 435, 16
CLONE = {"x86_64": 56, "aarch64": 220}
SET_ROBUST_LIST = {"x86_64": 273, "aarch64": 99}
IOCTL = {"x86_64": 16, "aarch64": 29}

# (AUDIT_ARCH, number of seccomp(2), the calls that computing, allocating and answering through an open pipe need)
_ALLOWED: dict[str, tuple[int, int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        317,
        {
            "read": 0,
            "write": 1,
            "close": 3,
            "fstat": 5,
            "poll": 7,
            "lseek": 8,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "brk": 12,
            "rt_sigaction": 13,
            "rt_sigprocmask": 14,
            "rt_sigreturn": 15,
            "writev": 20,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "nanosleep": 35,
            "getpid": 39,
            "exit": 60,
            "gettimeofday": 96,
            "getrusage": 98,
            "sigaltstack": 131,
            "gettid": 186,
            "time": 201,
            "futex": 202,
            "sched_getaffinity": 204,
            "restart_syscall": 219,
            "clock_gettime": 228,
            "clock_getres": 229,
            "clock_nanosleep": 230,
            "exit_group": 231,
            "getcpu": 309,
            "getrandom": 318,
            "membarrier": 324,
            "rseq": 334,
        },
    ),
    "aarch64": (
        0xC00000B7,
        277,
        {
            "read": 63,
            "write": 64,
            "close": 57,
            "fstat": 80,
            "ppoll": 73,
            "lseek": 62,
            "mmap": 222,
            "mprotect": 226,
            "munmap": 215,
            "brk": 214,
            "rt_sigaction": 134,
            "rt_sigprocmask": 135,
            "rt_sigreturn": 139,
            "writev": 66,
            "sched_yield": 124,
            "mremap": 216,
            "madvise": 233,
            "nanosleep": 101,
            "getpid": 172,
            "exit": 93,
            "gettimeofday": 169,
            "getrusage": 165,
            "sigaltstack": 132,
            "gettid": 178,
            "futex": 98,
            "sched_getaffinity": 123,
            "restart_syscall": 128,
            "clock_gettime": 113,
            "clock_getres": 114,
            "clock_nanosleep": 115,
            "exit_group": 94,
            "getcpu": 168,
            "getrandom": 278,
            "membarrier": 283,
            "rseq": 293,
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the process may use from now on."""

    address_space_bytes: int | None
    """None: a CUDA context reserves hundreds of GiB of addresses, so there this can't be bounded."""
    cpu_s: int


_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int | bytes | None) -> int:
    result = int(
        getattr(_libc, name)(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def lock_down(
    bounds: Bounds, parent_pid: int, threads: bool = False, device: bool = False
) -> list[str]:
    """Give up files, network, processes and privileges for good; the steps that this kernel let it take, by name.

    `threads`: whether the caller may go on starting threads; `device`: whether it works with a driver that it has opened,
    which takes ioctl(2) on what is open. Landlock binds the calling thread and those that it starts:
    with others about, the step is called `landlock_one_thread`. The caller dies with its parent (`parent_pid`).
    """
    taken = []
    alone = len(os.listdir("/proc/self/task")) == 1
    for name, step in (
        ("unprivileged_user", _become_nobody),
        ("no_new_privs", _no_new_privs),
        ("landlock", _landlock),
    ):
        try:
            step()
        except OSError:
            continue  # this kernel or container does not offer it: the record says which steps were taken
        taken.append(f"{name}_one_thread" if name == "landlock" and not alone else name)
    _call(
        "prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0
    )  # after the change of user, which clears it
    if os.getppid() != parent_pid:
        os._exit(0)
    _limit(bounds, threads)
    taken.append(
        "rlimits" if bounds.address_space_bytes is not None else "rlimits_but_address_space"
    )
    try:
        _seccomp(threads, device)
        taken.append("seccomp_but_ioctl" if device else "seccomp")
    except (OSError, KeyError):
        pass
    return taken


def _become_nobody() -> None:
    if os.geteuid() != 0:
        raise PermissionError("only root can change the user")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _no_new_privs() -> None:
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _landlock() -> None:
    """Handle every right that this kernel's ABI knows and grant none: no path can be opened, no TCP port used."""
    abi = _call("syscall", SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)
    file_rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    net_rights = 0b11 if abi >= 4 else 0  # bind and connect
    scopes = 0b11 if abi >= 6 else 0  # abstract sockets and signals outside
    attributes = struct.pack("QQQ", file_rights, net_rights, scopes)[
        : 24 if abi >= 6 else 16 if abi >= 4 else 8
    ]
    ruleset = _call("syscall", SYS_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _call("syscall", SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _limit(bounds: Bounds, threads: bool) -> None:
    if not threads:
        _lower(resource.RLIMIT_NPROC, 0, 0)
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, STDERR_BYTES),  # what the runtime says before it dies, and no more
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_AS, bounds.address_space_bytes),
    ):
        if value is not None:
            _lower(name, value, value)
    _lower(resource.RLIMIT_CPU, bounds.cpu_s, bounds.cpu_s + 1)


def _lower(name: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(name)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(name, (soft, hard))


def _seccomp(threads: bool, device: bool) -> None:
    """Every system call that is not on the list fails with EPERM; one of another architecture kills.

    With `threads`, clone(2) passes with CLONE_THREAD only, and clone3(2), whose flags a filter can't see, fails with
    ENOSYS: libraries then fall back to clone(2).
    """
    arch, sys_seccomp, calls = _ALLOWED[platform.machine()]
    load, equal, has, give_back = (
        0x20,
        0x15,
        0x45,
        0x06,
    )  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JSET|K, BPF_RET|K
    allow, kill, eperm, enosys = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
    program = [(load, 0, 0, 4), (equal, 1, 0, arch), (give_back, 0, 0, kill), (load, 0, 0, 0)]
    if threads:
        program += [(equal, 0, 1, CLONE3), (give_back, 0, 0, enosys)]
        program += [(equal, 0, 4, CLONE[platform.machine()]), (load, 0, 0, FIRST_ARGUMENT)]
        program += [(has, 1, 0, CLONE_THREAD), (give_back, 0, 0, eperm), (give_back, 0, 0, allow)]
    more = [SET_ROBUST_LIST[platform.machine()]] * threads + [IOCTL[platform.machine()]] * device
    numbers = sorted([*calls.values(), *more])
    program += [(equal, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(give_back, 0, 0, eperm), (give_back, 0, 0, allow)]
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    )
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    set_filter, all_threads = 1, 1
    _call("syscall", sys_seccomp, set_filter, all_threads, header)
