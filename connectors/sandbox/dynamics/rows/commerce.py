"""What is sold, ordered and billed as rows: products, price lists, orders, invoices, payments.

Deals are elsewhere.
"""

from decimal import Decimal

from connectors.sandbox.company import Invoice, Order, PriceBook, Product
from connectors.sandbox.dynamics.rows.shape import (
    Rows,
    Shape,
    currency,
    customer,
    line_columns,
    numbered,
    owner,
    stamps,
)
from connectors.sandbox.dynamics.tables import record_id

ORDER_STATES = {"Draft": (0, 1), "Activated": (3, 100001), "Cancelled": (2, 4)}
INVOICE_STATES = {"Open": (0, 4), "Paid": (2, 100001), "Void": (3, 100003)}


def product(shape: Shape, product: Product) -> Rows:
    """A product."""
    yield (
        "product",
        {
            "productid": record_id("product", product.name),
            "name": product.name,
            "productnumber": product.sku,
            "price": product.price,
            "statecode": 0,
            "statuscode": 1,
            **currency(shape.world.currency),
            **stamps(product.created_at, product.modified_at),
        },
    )


def price_book(shape: Shape, book: PriceBook) -> Rows:
    """A price list, with its prices."""
    common = {**currency(book.currency), **stamps(book.created_at, book.modified_at)}
    id = record_id("pricelevel", book.key)
    yield "pricelevel", {"pricelevelid": id, "name": book.name, "statecode": 0, "statuscode": 100001, **common}
    for product, price in book.prices.items():
        yield (
            "productpricelevel",
            {
                "productpricelevelid": record_id("productpricelevel", f"{book.key}:{product}"),
                "_pricelevelid_value": id,
                "_productid_value": record_id("product", product),
                "amount": price,
                **common,
            },
        )


def order(shape: Shape, order: Order) -> Rows:
    """An order, with its lines."""
    state, status = ORDER_STATES[order.status]
    id, moments = record_id("salesorder", order.key), stamps(order.created_at, order.modified_at)
    yield (
        "salesorder",
        {
            "salesorderid": id,
            "name": order.number,
            "ordernumber": order.number,
            "totalamount": order.amount,
            "submitdate": order.ordered_on,
            "datefulfilled": order.ordered_on if order.status == "Activated" else None,
            "statecode": state,
            "statuscode": status,
            "_opportunityid_value": record_id("opportunity", order.opportunity_key),
            **customer(order.account_key),
            **owner(order.owner_email),
            **currency(order.currency),
            **moments,
        },
    )
    for key, line in numbered(order.lines):
        row = {"salesorderdetailid": record_id("salesorderdetail", f"{order.key}:{key}"), "_salesorderid_value": id}
        yield "salesorderdetail", row | line_columns(line, order.currency, moments)


def invoice(shape: Shape, invoice: Invoice) -> Rows:
    """An invoice, with its line and payments."""
    state, status = INVOICE_STATES[invoice.status]
    id = record_id("invoice", invoice.key)
    common = {**currency(invoice.currency), **stamps(invoice.created_at, invoice.modified_at)}
    yield (
        "invoice",
        {
            "invoiceid": id,
            "name": invoice.number,
            "invoicenumber": invoice.number,
            "totalamount": invoice.amount,
            "datedelivered": invoice.invoiced_on,
            "duedate": invoice.due_on,
            "statecode": state,
            "statuscode": status,
            "_salesorderid_value": record_id("salesorder", invoice.order_key),
            "_opportunityid_value": record_id("opportunity", invoice.opportunity_key),
            **customer(invoice.account_key),
            **owner(invoice.owner_email),
            **common,
        },
    )
    yield (
        "invoicedetail",
        {
            "invoicedetailid": record_id("invoicedetail", invoice.key),
            "productdescription": f"As ordered: {invoice.number}",
            "quantity": Decimal(1),
            "priceperunit": invoice.amount,
            "extendedamount": invoice.amount,
            "_invoiceid_value": id,
            **common,
        },
    )
    for payment in invoice.payments:
        yield (
            "new_payment",
            {
                "new_paymentid": record_id("new_payment", payment.key),
                "new_name": f"{invoice.number} {payment.paid_on}",
                "new_paidon": payment.paid_on,
                "new_amount": payment.amount,
                "_new_invoiceid_value": id,
                **common,
            },
        )
