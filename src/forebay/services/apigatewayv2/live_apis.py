"""All APIs of the node in memory, with their stages compiled: requests are answered without a look into the store.

Kept up to date by the store's commits: before an operation has answered, its effect is here.
"""

from collections.abc import Sequence

from forebay.api import apigatewayv2 as api
from forebay.operations.platform import Platform
from forebay.services.apigatewayv2.http_api import API, API_MAPPING, DEPLOYMENT, STAGE
from forebay.services.apigatewayv2.served_stage import Backends, ServedStage, serve_stage
from forebay.store.contract import View
from forebay.store.records import key_parts, record_key

CUSTOM_DOMAIN = "custom-domain"
"""The label of requests that came in by a custom domain name."""

Loaded = tuple[Sequence[tuple[str, api.Api]], Sequence[tuple[str, api.Stage]], Sequence[tuple[str, api.ApiMapping]]]


class LiveApi:
    """One API and its stages."""

    __slots__ = ("account", "api_id", "record", "region", "served", "stages")

    def __init__(self, key: str, record: api.Api) -> None:
        self.account, self.region, self.api_id = key_parts(key)
        self.record = record
        self.stages: dict[str, api.Stage] = {}
        self.served: dict[str, ServedStage] = {}


class LiveApis:
    """Finds APIs by id, and API mappings by host name."""

    def __init__(self, platform: Platform, backends: Backends) -> None:
        self._store = platform.store
        self._hosts = platform.hosts
        self._backends = backends
        self._apis: dict[str, LiveApi] = {}
        self._stages: dict[str, dict[str, api.Stage]] = {}
        self._mappings: dict[str, dict[str, api.ApiMapping]] = {}
        # Counts changes, so that what was read is not older than what is here.
        self._changes = 0
        self._store.watch(API, self._api_changed)
        self._store.watch(STAGE, self._stage_changed)
        self._store.watch(API_MAPPING, self._mapping_changed)

    async def load(self) -> None:
        """Take over what the store has; called once, before the first request."""

        def read(view: View) -> Loaded:
            records = view.records
            return records.list(API), records.list(STAGE), records.list(API_MAPPING)

        while True:
            changes = self._changes
            apis, stages, mappings = await self._store.view(read)
            if changes == self._changes:
                break
        for key, record in apis:
            self._api_changed(key, record)
        for key, stage in stages:
            self._stage_changed(key, stage)
        for key, mapping in mappings:
            self._mapping_changed(key, mapping)

    def find(self, api_id: str) -> LiveApi | None:
        """Return an API by its id, which is its alone in the whole node."""
        return self._apis.get(api_id)

    def find_mapping(self, host: str, path: str) -> api.ApiMapping | None:
        """Return the API mapping of a custom domain name with the longest key that a path begins with."""
        best: api.ApiMapping | None = None
        for mapping in self._mappings.get(host, {}).values():
            key = mapping.api_mapping_key or ""
            fits = not key or path == f"/{key}" or path.startswith(f"/{key}/")
            if fits and (best is None or len(key) > len(best.api_mapping_key or "")):
                best = mapping
        return best

    async def stage(self, live: LiveApi, name: str) -> ServedStage | None:
        """Return a stage of an API ready for requests; None where there is none, or it was never deployed."""
        served = live.served.get(name)
        while served is None:
            stage = live.stages.get(name)
            if stage is None or stage.deployment_id is None:
                return None
            key = record_key(live.account, live.region, live.api_id, stage.deployment_id)
            deployed = await self._store.find(DEPLOYMENT, key)
            if live.stages.get(name) is not stage:
                # It was deployed anew meanwhile.
                served = live.served.get(name)
                continue
            if deployed is None:
                return None
            served = live.served[name] = serve_stage(self._backends, stage, deployed)
        return served

    def _api_changed(self, key: str, record: api.Api | None) -> None:
        self._changes += 1
        api_id = key_parts(key)[-1]
        if record is None:
            self._apis.pop(api_id, None)
            if not self._stages.get(api_id):
                self._stages.pop(api_id, None)
            return
        live = self._apis.get(api_id)
        if live is None:
            live = self._apis[api_id] = LiveApi(key, record)
            live.stages = self._stages.setdefault(api_id, {})
        live.record = record

    def _stage_changed(self, key: str, stage: api.Stage | None) -> None:
        self._changes += 1
        *_, api_id, name = key_parts(key)
        stages = self._stages.setdefault(api_id, {})
        live = self._apis.get(api_id)
        if live is not None:
            live.served.pop(name, None)
        if stage is not None:
            stages[name] = stage
            return
        stages.pop(name, None)
        if not stages and live is None:
            del self._stages[api_id]

    def _mapping_changed(self, key: str, mapping: api.ApiMapping | None) -> None:
        self._changes += 1
        *_, host, mapping_id = key_parts(key)
        mappings = self._mappings.setdefault(host, {})
        if mapping is None:
            mappings.pop(mapping_id, None)
        else:
            mappings[mapping_id] = mapping
        if mappings:
            self._hosts[host.lower()] = CUSTOM_DOMAIN
        else:
            del self._mappings[host]
            self._hosts.pop(host.lower(), None)
