"""The guest's side: namespaces, the processes that live in them, and the network interface.

`launch` starts a command in namespaces made for it, `attach` gives an existing namespace a network.
Both hand back a `Link`, on which the guest's frames arrive. Four processes take part in `launch`:

    P        the caller of `launch`, outside, where the stack runs
    C        the configurer: makes the namespaces, forks I, makes and configures the TAP, ends
    I        the init: PID 1 of the guest, reaps, passes signals on, ends all when P or COMMAND ends
    COMMAND  what the user asked for

P, I and COMMAND stay in one process group on one terminal, so that Ctrl-C, Ctrl-Z and the window
size reach COMMAND from the terminal itself, as if it ran bare.

Read: namespaces(7), user_namespaces(7), pid_namespaces(7).
"""
