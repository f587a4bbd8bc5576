"""Queues of the workers: which one each kind of work goes through, and how a worker is notified."""

from collections.abc import Callable

from nrespipe.database.tables import Delivery, Frame, NightSummary, ScheduledMaster, WorkTable

#: Notifies a worker of a row; may raise whatever the library of the broker raises.
Send = Callable[[WorkTable, int], object]
#: Returns whether no message about rows of a table waits for a worker; False where the broker does not answer.
IsEmpty = Callable[[WorkTable], bool]

#: Queue and task of each kind of work.
QUEUES: dict[WorkTable, str] = {
    Frame: "reduction",
    ScheduledMaster: "periodic",
    NightSummary: "periodic",
    Delivery: "deliveries",
}
TASKS: dict[WorkTable, str] = {
    Frame: "nrespipe.reduce_frame",
    ScheduledMaster: "nrespipe.make_master",
    NightSummary: "nrespipe.summarise",
    Delivery: "nrespipe.deliver",
}
