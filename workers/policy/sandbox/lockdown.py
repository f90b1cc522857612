"""What a process gives up for good before it touches an untrusted graph.

Linux; pure system calls through ctypes. Every step is taken where the kernel has it, and the list
of those taken is recorded with the results. What stays: memory, time, the file descriptors that are
already open. Sources: landlock(7), seccomp(2), prctl(2), setrlimit(2).
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from contextlib import suppress
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_RESTRICT_SELF = 444, 446
NOBODY = 65534
STDERR_BYTES = 65536

CLONE_THREAD, CLONE3 = 0x10000, 435
FIRST_ARGUMENT = 16
"""Where seccomp_data has it, in bytes."""
CLONE = {"x86_64": 56, "aarch64": 220}
SET_ROBUST_LIST = {"x86_64": 273, "aarch64": 99}
IOCTL = {"x86_64": 16, "aarch64": 29}

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP = {"x86_64": 317, "aarch64": 277}

# The system calls that computing, allocating and answering through an open pipe need,
# by their numbers on x86_64 and aarch64.
_ALLOWED_ON_BOTH = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "writev": (20, 66), "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233),
    "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93), "gettimeofday": (96, 169),
    "getrusage": (98, 165), "sigaltstack": (131, 132), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "getcpu": (309, 168), "getrandom": (318, 278), "membarrier": (324, 283), "rseq": (334, 293),
}  # fmt: skip
_ALLOWED = {
    "x86_64": [x86_64 for x86_64, _ in _ALLOWED_ON_BOTH.values()] + [7, 201],  # poll, time
    "aarch64": [aarch64 for _, aarch64 in _ALLOWED_ON_BOTH.values()] + [73],  # ppoll
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the process may use from now on."""

    address_space_bytes: int | None
    """None for CUDA: a context reserves hundreds of GiB of addresses, so no bound would hold."""
    cpu_s: int


_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: int | bytes | None) -> int:
    typed = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    result = int(getattr(_libc, name)(*typed))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def lock_down(
    bounds: Bounds, parent_pid: int, threads: bool = False, device: bool = False
) -> list[str]:
    """Give up files, network, processes and privileges for good. Names of the steps taken.

    `threads`: whether the caller may go on starting threads.
    `device`: whether it works with a driver that it has opened, which takes ioctl(2).
    Landlock binds the calling thread and those that it starts: with others about, the step is
    called `landlock_one_thread`. The caller dies with its parent (`parent_pid`).
    """
    taken = []
    alone = len(os.listdir("/proc/self/task")) == 1
    steps = {
        "unprivileged_user": _become_nobody,
        "no_new_privs": _no_new_privs,
        "landlock" if alone else "landlock_one_thread": _landlock,
    }
    for name, step in steps.items():
        with suppress(OSError):  # this kernel or container may not offer it
            step()
            taken.append(name)
    # after the change of user, which clears it
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)
    _limit(bounds, threads)
    bounded = bounds.address_space_bytes is not None
    taken.append("rlimits" if bounded else "rlimits_but_address_space")
    with suppress(OSError, KeyError):  # KeyError: no table for this machine
        _seccomp(threads, device)
        taken.append("seccomp_but_ioctl" if device else "seccomp")
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
    """Grant none of the rights that this kernel's ABI knows: no path opens, no TCP port works."""
    abi = _call("syscall", SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)
    file_rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    net_rights = 0b11 if abi >= 4 else 0  # bind and connect
    scopes = 0b11 if abi >= 6 else 0  # abstract sockets and signals outside
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = struct.pack("QQQ", file_rights, net_rights, scopes)[:size]
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
    """System calls that are not on the list fail with EPERM; one of another architecture kills.

    With `threads`, clone(2) passes with CLONE_THREAD only. A filter can't see the flags of
    clone3(2), which fails with ENOSYS: libraries then fall back to clone(2).

    An instruction is (code, instructions to skip if true, ... if false, operand).
    """
    machine = platform.machine()
    # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JSET|K, BPF_RET|K
    load, equal, has, give_back = 0x20, 0x15, 0x45, 0x06
    allow, kill, eperm, enosys = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
    program = [(load, 0, 0, 4), (equal, 1, 0, AUDIT_ARCH[machine]), (give_back, 0, 0, kill)]
    program += [(load, 0, 0, 0)]
    if threads:
        program += [(equal, 0, 1, CLONE3), (give_back, 0, 0, enosys)]
        program += [(equal, 0, 4, CLONE[machine]), (load, 0, 0, FIRST_ARGUMENT)]
        program += [(has, 1, 0, CLONE_THREAD), (give_back, 0, 0, eperm), (give_back, 0, 0, allow)]
    more = [SET_ROBUST_LIST[machine]] * threads + [IOCTL[machine]] * device
    numbers = sorted(_ALLOWED[machine] + more)
    program += [(equal, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(give_back, 0, 0, eperm), (give_back, 0, 0, allow)]
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    code = ctypes.create_string_buffer(packed)
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    set_filter = all_threads = 1
    _call("syscall", SECCOMP[machine], set_filter, all_threads, header)
