# SPDX-License-Identifier: Apache-2.0
"""Runs build/bench/load and reads the meters exactly while it counts."""
import json
import os
import re
import subprocess
import tempfile

import clients
from servers import Failed

HERE = os.path.dirname(os.path.abspath(__file__))


class Generator:
    def __init__(self, build):
        self.build = build
        self.folder = tempfile.TemporaryDirectory(prefix='basalt-bench-')
        self.runs = 0

    def program(self, name):
        return os.path.join(self.build, 'bench', name)

    def clients_file(self, rows):
        path = os.path.join(self.folder.name, 'clients-%d' % self.runs)
        self.runs += 1
        clients.write(path, rows)
        return path

    def mix_file(self, name, without=()):
        """A mix of bench/, without some of its kinds."""
        path = os.path.join(HERE, name + '.mix')
        if not without:
            return path
        with open(path, encoding='utf-8') as f:
            parts = re.split(r'(?m)^(?=\[)', f.read())
        kept = [p for p in parts if not re.match(r'\[(%s)\]' % '|'.join(without), p)]
        path = os.path.join(self.folder.name, name + '.mix')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(''.join(kept))
        return path

    def run(self, target, mix, people, keys, meter=None, **options):
        """One load; people is a clients file, keys the columns that all share. With a meter: what
        the trees took while it counted, as 'cpu' in the result."""
        self.runs += 1
        command = [self.program('load'), '--target', target, '--mix', mix, '--clients', people,
                   '--prefix', 'r%d-%d-' % (os.getpid(), self.runs)]
        for name, value in keys.items():
            command += ['--set', '%s=%s' % (name, value)]
        for name, value in options.items():
            command += ['--' + name] + ([] if value is True else [str(value)])
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True) as process:
            line = process.stdout.readline()
            if meter and line == 'measuring\n':
                meter.start()
            line = process.stdout.readline()
            if not line:
                raise Failed('the load generator failed: %s' % ' '.join(command[:9]))
            result = json.loads(line)
            if meter:
                result['cpu'] = meter.stop(result['seconds'] / (result['seconds'] + float(
                    options.get('warmup', 0))) * result['generator_cpu_s'])
        return result

    def json_of(self, name, *args):
        """The result of one of the bare programs."""
        done = subprocess.run([self.program(name), *[str(a) for a in args]], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)
