# SPDX-License-Identifier: Apache-2.0
"""What the audit costs: an event on the request path, and its share of a busy server, by the CPU time
of its threads, of its connection's backend and of the events themselves."""
import os
import tempfile

import clients
import machine

CONNECTIONS = 64


def threads(pid):
    """Name -> CPU seconds of a process's threads."""
    out = {}
    for task in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/stat' % (pid, task), encoding='utf-8') as f:
            name, fields = f.read().split('(', 1)[1].rsplit(')', 1)
        times = fields.split()
        out[name] = out.get(name, 0) + (int(times[11]) + int(times[12])) * machine.TICK_S
    return out


def event(b):
    b.report.title('audit_report with journal and log at work')
    with tempfile.TemporaryDirectory(prefix='basalt-bench-') as folder:
        got = b.generator.json_of('audit_cost', folder + '/audit', 20000 if b.quick else 200000)
    b.report.keep('audit', got)
    b.report.add('audit: an event on the request path', got['cpu_us_each'], 'µs', most=5,
                 note='%.2f by the clock, p99 %.3f ms' % (got['wall_us_each'], got['ms']['p99']))
    b.report.add('audit: events dropped', got['dropped'], '', most=0)
    return got['cpu_us_each']


def share(b, each_us):
    b.report.title('The traffic mix without hashes, %d connections: what of it is the audit' % CONNECTIONS)
    with b.basalt() as basalt:
        rows = clients.insert(basalt, 1000)
        people, keys = b.generator.clients_file(rows), {'apikey': basalt.anon}
        mix = b.generator.mix_file('traffic', ('login', 'signup'))
        backend = int(basalt.sql("select pid from pg_stat_activity where application_name = 'basalt audit'"))
        b.generator.run(basalt.target, mix, people, keys, None, seconds=b.seconds(2),
                        connections=CONNECTIONS, save=True)
        before, events = snapshot(basalt, backend), kept(basalt)
        result = b.generator.run(basalt.target, mix, people, keys, None, seconds=b.seconds(10),
                                 connections=CONNECTIONS, save=True)
        after, events = snapshot(basalt, backend), kept(basalt) - events
    spent = {name: after[name] - before[name] for name in after}
    own = spent['audit-journal'] + spent['audit-shipper'] + spent['backend'] + events * each_us / 1e6
    b.report.keep('audit', {'spent': spent, 'events': events, 'result': result})
    b.report.add('audit: of a busy server\'s CPU', own / (spent['server'] + spent['postgres']) * 100, '%', most=2,
                 note='%d events of %d requests; journal %.2f s, shipper %.2f s, its backend %.2f s of %.1f s' % (
                     events, result['answered'], spent['audit-journal'], spent['audit-shipper'], spent['backend'],
                     spent['server'] + spent['postgres']))


def snapshot(basalt, backend):
    return {'server': machine.cpu_s(basalt.pid, False), 'postgres': machine.cpu_s(basalt.postgres),
            'backend': machine.cpu_s(backend), 'audit-journal': 0, 'audit-shipper': 0, **{
                name: spent for name, spent in threads(basalt.pid).items() if name.startswith('audit-')}}


def kept(basalt):
    return sum(basalt.metric('basalt_audit_events_total', way) for way in ('transaction', 'journal'))


def audit(b):
    share(b, event(b))
