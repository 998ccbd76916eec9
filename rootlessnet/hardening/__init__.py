"""What a process gives up for good, once it has all that it needs.

It stands between a guest that nobody trusts and the host. Should a guest ever come to command it,
it is to find a process that can do what a network needs, and little else: no capability, no
program to execute, no process to make, no file to write, few to read.

    process    capabilities, no_new_privs, core dumps, descriptors that were inherited
    seccomp    which system calls there are, and with which arguments; `allowed` is the list
    landlock   which files may be read
    harden     all of it, in the order that works

Each is a promise of the kernel's, which nothing in the process can take back. A kernel that lacks
one of them keeps the others. docs/security.md says what this is good for.

Read: seccomp(2), landlock(7), capabilities(7), prctl(2) for PR_SET_NO_NEW_PRIVS.
"""
