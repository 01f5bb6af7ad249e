"""CloudWatch: metrics, put by callers or counted by this node's services.

Reading order: `statistic` (pure: data points to statistics by period), `metrics` (operations). Where the data points
stand is in `operations/measures.py`.

Left out, and answered with an error that names it: alarms, dashboards, anomaly detectors, streams, insight rules,
metric math (`Expression`), and percentiles of metrics whose samples are not known.
"""

from forebay.api import cloudwatch as api
from forebay.operations.service import Service
from forebay.services.cloudwatch import metrics

SERVICE = Service(name="cloudwatch", model=api.MODEL, operations=[metrics])
