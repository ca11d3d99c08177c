"""The demonstration of orders: three stores, late webhooks, and a back end that is killed."""
