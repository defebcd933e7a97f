"""Training and evaluation side by side with others, on this machine, in tables of Markdown.

python -m benchmarks [--quick]
"""

from benchmarks import evaluation, training
from benchmarks.rates import machine

print(machine())
training.main()
evaluation.main()
