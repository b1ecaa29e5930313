"""An office's tools as an MCP server on stdio: documents, a bank account, mail. Run by the demo, or by hand with any MCP client.

The account and the outbox are this process's memory, so that results are what the calls made of them. Nothing leaves the
machine.
"""

from decimal import Decimal
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

DOCUMENTS = Path(__file__).parent / "documents"

server = MCPServer("office", log_level="WARNING")
balance_eur = {"operating": Decimal("6400.00")}
outbox: list[str] = []


@server.tool()
def list_documents() -> list[str]:
    """Name the documents in the inbox."""
    return sorted(path.name for path in DOCUMENTS.glob("*.txt"))


@server.tool()
def read_document(name: str) -> str:
    """Read a document of the inbox."""
    if name not in list_documents():
        raise ToolError(f"there is no document {name}")
    return (DOCUMENTS / name).read_text(encoding="utf-8")


@server.tool()
def get_balance(account: str) -> str:
    """Say what is on an account, in EUR."""
    return f"{_balance(account):.2f}"


@server.tool()
def send_payment(account: str, amount_eur: str, iban: str, payee: str, reference: str) -> str:
    """Pay an amount from an account to an IBAN."""
    amount, balance = Decimal(amount_eur), _balance(account)
    if not 0 < amount <= balance:
        raise ToolError(f"the account {account} holds EUR {balance:.2f}: {amount} cannot be paid")
    balance_eur[account] = balance - amount
    return f"EUR {amount:.2f} paid to {payee} ({iban}), {reference}; EUR {balance_eur[account]:.2f} left"


@server.tool()
def send_email(to: str, subject: str, body: str) -> str:
    """Send an e-mail."""
    outbox.append(to)
    return f"sent to {to}: {subject} ({len(body)} characters)"


def _balance(account: str) -> Decimal:
    if account not in balance_eur:
        raise ToolError(f"there is no account {account}")
    return balance_eur[account]


if __name__ == "__main__":
    server.run("stdio")
