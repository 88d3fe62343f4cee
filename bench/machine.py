# SPDX-License-Identifier: Apache-2.0
"""What the machine says of processes: CPU time and memory from /proc, and what others took of it."""
import os

TICK_S = 1 / os.sysconf('SC_CLK_TCK')
CORES = os.cpu_count() or 1


def children():
    """pid -> its children, of every process."""
    out = {}
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open('/proc/%s/stat' % name, encoding='utf-8', errors='replace') as f:
                parent = int(f.read().rsplit(')', 1)[1].split()[1])
        except (OSError, IndexError):
            continue  # it has ended
        out.setdefault(parent, []).append(int(name))
    return out


def tree(root):
    """The process and all below it."""
    below, out, todo = children(), [], [root]
    while todo:
        pid = todo.pop()
        out.append(pid)
        todo += below.get(pid, [])
    return out


def cpu_s(root, descend=True):
    """CPU seconds of a process and of all below it, those that have ended and were waited for too."""
    total = 0.0
    for pid in tree(root) if descend else [root]:
        try:
            with open('/proc/%d/stat' % pid, encoding='utf-8', errors='replace') as f:
                fields = f.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        own = int(fields[11]) + int(fields[12])
        ended = int(fields[13]) + int(fields[14]) if descend else 0
        total += (own + ended) * TICK_S
    return total


def busy_s():
    """CPU seconds of the whole machine, and those that its host kept for itself."""
    with open('/proc/stat', encoding='utf-8') as f:
        user, nice, system, _, _, irq, softirq, steal = [int(v) for v in f.readline().split()[1:9]]
    return (user + nice + system + irq + softirq) * TICK_S, steal * TICK_S


def rollup_kib(pid):
    """Memory of one process as /proc/PID/smaps_rollup has it: name -> KiB."""
    with open('/proc/%d/smaps_rollup' % pid, encoding='utf-8') as f:
        rows = [line.split() for line in f if line.rstrip().endswith('kB')]
    return {row[0].rstrip(':'): int(row[1]) for row in rows}


def memory_mib(pid):
    """Resident and private memory of one process, MiB."""
    m = rollup_kib(pid)
    return m['Rss'] / 1024, (m['Private_Clean'] + m['Private_Dirty']) / 1024


def pss_mib(root):
    """Proportional memory of a process and of all below it, MiB: shared pages count once."""
    return sum(rollup_kib(pid)['Pss'] for pid in tree(root)) / 1024


def describe():
    """One line on the machine, for the record."""
    model = 'unknown CPU'
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        for line in f:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    with open('/proc/meminfo', encoding='utf-8') as f:
        memory = int(f.readline().split()[1]) / 1024 / 1024
    release = os.uname()
    return '%d cores (%s), %.0f GiB, Linux %s %s' % (
        CORES, model, memory, '.'.join(release.release.split('.')[:2]), release.machine)


class Meter:
    """CPU seconds of named process trees between start() and stop(), and of all others."""

    def __init__(self, **roots):
        self.roots = roots

    def read(self):
        import time
        busy, steal = busy_s()
        return {'at': time.monotonic(), 'busy': busy, 'steal': steal,
                **{name: cpu_s(pid, name != 'server') for name, pid in self.roots.items()}}

    def start(self):
        self.before = self.read()

    def stop(self, own_s=0.0):
        """own_s: what the load generator took, which is not among the trees."""
        after = self.read()
        diff = {name: after[name] - self.before[name] for name in after}
        seconds = diff.pop('at')
        others = diff.pop('busy') - own_s - sum(diff[name] for name in self.roots)
        diff['others_cores'] = max(0.0, others / seconds)
        diff['steal_cores'] = diff.pop('steal') / seconds
        return diff
