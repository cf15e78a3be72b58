"""What can be said about a stack before any preview: everything that is wrong with it, at once."""

from lockstep.checks.problem import Problem
from lockstep.checks.stack import is_readable, notes, problems

__all__ = ["Problem", "is_readable", "notes", "problems"]
