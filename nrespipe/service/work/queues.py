"""Queues of the workers: which one each kind of work goes through, and how a worker is notified."""

from collections.abc import Callable
from typing import NamedTuple

from nrespipe.database.tables import Delivery, Frame, NightSummary, ScheduledMaster, WorkTable

#: Notifies a worker of a row; may raise whatever the library of the broker raises.
Send = Callable[[WorkTable, int], object]
#: Returns whether no message about rows of a table waits for a worker; False where the broker does not answer.
IsEmpty = Callable[[WorkTable], bool]


class Route(NamedTuple):
    """How the work of a table reaches a worker.

    Attributes
    ----------
    queue, task
        Names of the queue and of the task.
    title
        Name of the work in the log.
    """

    queue: str
    task: str
    title: str


#: Route of each kind of work.
ROUTES: dict[WorkTable, Route] = {
    Frame: Route("reduction", "nrespipe.reduce_frame", "frame"),
    ScheduledMaster: Route("periodic", "nrespipe.make_master", "master"),
    NightSummary: Route("periodic", "nrespipe.summarise", "summary"),
    Delivery: Route("deliveries", "nrespipe.deliver", "delivery"),
}
