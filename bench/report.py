# SPDX-License-Identifier: Apache-2.0
"""Figures with their budgets: the table, the verdict, the JSON file."""
import datetime
import json
import os
import statistics
import subprocess

import machine

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def median(values):
    return statistics.median(values)


class Report:
    def __init__(self):
        self.rows, self.raw = [], {}

    def add(self, name, value, unit, most=None, least=None, note=''):
        """One figure; with a bound it passes or misses, without it is told for information."""
        ok = (most is None or value <= most) and (least is None or value >= least)
        verdict = '' if most is None and least is None else 'PASS' if ok else 'MISS'
        bound = '' if not verdict else '<= %g' % most if most is not None else '>= %g' % least
        row = {'name': name, 'value': round(value, 3), 'unit': unit, 'budget': bound,
               'verdict': verdict, 'note': note}
        self.rows.append(row)
        print('%-52s %10s %-9s %-9s %-4s %s' % (name, '%.4g' % value if value < 1000 else
              '%.0f' % value, unit, bound, verdict, note), flush=True)

    def title(self, text):
        print('\n' + text, flush=True)

    def keep(self, name, value):
        """What the figures were made from."""
        self.raw.setdefault(name, []).append(value)

    @property
    def missed(self):
        return [row['name'] for row in self.rows if row['verdict'] == 'MISS']

    def write(self, path):
        with open(path, 'w', encoding='utf-8') as f:
            json.dump({'commit': commit(), 'date': today(), 'machine': machine.describe(),
                       'rows': self.rows, 'raw': self.raw}, f, indent=1)
            f.write('\n')


def today():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%MZ')


def commit():
    try:
        done = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=TOP, text=True,
                              capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return done.stdout.strip()
