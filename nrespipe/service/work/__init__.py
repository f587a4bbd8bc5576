"""From a row to its result: claims, processes, queues, limits."""
