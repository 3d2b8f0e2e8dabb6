"""The protocol of one upload, as one pure function: docs/protocol.md shows it as a table.

    next_step(wanted, receipt, facts) -> Step

`facts` are what an invocation has learned so far. They are volatile: whatever contradicts them (a receipt that somebody
else wrote, a folder that is gone) makes the driver forget them, and the step is derived again from what outlives a
process: the receipt, Drive and the log. A step is a question (`Need…`), an effect, or the end. The driver answers a
question, does an effect after one check of the lock, and asks for the next step. So a killed invocation, an answer that
was lost and a second process all lead through this one function.

The rules that everything rests on:

1. A claim is written down before the first request that it speaks of.
2. After an answer that may have been lost the next step is a look, never another send.
3. What stands under a claim's id is ours only if it carries the claim's nonce and the log doesn't know it.
4. A content that is neither the source's nor a claimed one was written by someone, unless we know the revision to be
   our own, or the file has only the revision that its create made.
5. A listing counts only if it began after Drive's last answer to this upload.
6. Of two files with one name the younger gives way. The older looks once more, and gives way to what still stands.
7. A file goes to the bin only if another id with the same content is live, and both were looked at by their ids.
"""
