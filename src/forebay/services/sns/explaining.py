"""Which subscriptions of a topic would get a message, and why the others would not, without publishing it."""

import json
from collections.abc import Mapping

from forebay.api import sns as api
from forebay.core.clock import Clock
from forebay.operations.call import Caller
from forebay.services.sns.errors import no_topic
from forebay.services.sns.message import Publication
from forebay.services.sns.topic import TopicAddress
from forebay.services.sns.topic_index import TopicIndex

_FIELDS_MAX = 3


class Explaining:
    """Explains filters' verdicts."""

    def __init__(self, clock: Clock, index: TopicIndex) -> None:
        self._clock = clock
        self._index = index

    async def explain(self, _caller: Caller, query: Mapping[str, str]) -> object:
        """Answer `/_forebay/sns/explain`: a verdict of each subscription of `topic` on `message`.

        `attributes` is a JSON object of texts.

        Raises:
            NotFound: there is no such topic.
        """
        address = TopicAddress.parse(query.get("topic", ""))
        live = await self._index.find(address)
        if live is None:
            raise no_topic()
        given: Mapping[str, str] = json.loads(query.get("attributes") or "{}")
        attributes = {
            name: api.MessageAttributeValue(data_type="String", string_value=value) for name, value in given.items()
        }
        bodies = {"default": query.get("message", "")}
        publication = Publication("", address.arn(), self._clock.now(), bodies, attributes=attributes)
        seen = live.see(publication)
        matched = live.match(seen)
        names = {one.arn: f"{one.protocol}:{one.endpoint}" for one in live.subscriptions.values()}
        verdicts = [{"name": names[one.arn], "arn": one.arn, "matches": True, "reason": ""} for one in matched]
        verdicts += [
            {"name": names[arn], "arn": arn, "matches": False, "reason": reason}
            for arn, reason in live.explain(seen, matched, _FIELDS_MAX)
        ]
        return {"subscriptions": verdicts}
