"""Serves the certificates that messages are signed with: `/_aws/sns/certificates/<file name>`."""

from forebay.core.http import Request, Response
from forebay.operations.service import Address
from forebay.services.sns.publisher import CERTIFICATES
from forebay.services.sns.signing import Signer


class Certificates:
    """Answers requests for certificates; whoever wants to verify a message may read them. An `Ingress`."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def handle(self, request: Request, address: Address) -> Response:
        """Return a certificate in PEM."""
        if address.resource_id != CERTIFICATES or request.method not in {"GET", "HEAD"}:
            return Response(404)
        certificate = await self._signer.find_certificate(address.path.lstrip("/"))
        if certificate is None:
            return Response(404)
        return Response(200, (("Content-Type", "application/x-pem-file"),), certificate.encode())
