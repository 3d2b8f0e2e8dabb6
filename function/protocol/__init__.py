"""The protocol of one upload, as one pure function.

    next_step(wanted, receipt, facts) -> Step

`facts` are what an invocation has learned so far. They are volatile: whatever contradicts them (a receipt that somebody
else wrote, a folder that is gone) makes the driver forget them, and the step is derived again from what outlives a
process: the receipt, Drive and the log. A step is a question (`Need…`), an effect, or the end. The driver answers a
question, does an effect after one check of the lock, and asks for the next step. So a killed invocation, an answer that
was lost and a second process all lead through this one function.

    next_step.py   a claim: what stands under its id decides, then what else is there (settle)
    plan.py        no claim: what is done, what the log tells and what Drive shows decide
    steps.py       what is wanted, what is known, and the steps, as values

The rules that all of it rests on are numbered in docs/protocol.md.
"""
