"""Models: what is registered, what each says of its training, where it was judged."""

from fastapi import APIRouter
from pydantic import BaseModel

from server.api.common import Cursor, Database, Named
from server.pages.rendering import page
from server.services.bank.register_model import ModelView, find_model, list_models
from server.services.runs.run_counts import RunLine, add_counts
from server.services.runs.run_views import RunFilter, list_runs

router = APIRouter(include_in_schema=False)

LINES = 100


class ModelsPage(BaseModel):
    """Models, newest first."""

    models: list[ModelView]
    next: str | None
    name: str | None


class ModelPage(BaseModel):
    """One model and its latest runs."""

    model: ModelView
    lines: list[RunLine]


def models_page(session: Database, cursor: Cursor = None, name: Named = None) -> ModelsPage:
    """Models, newest first."""
    found = list_models(session, name=name, cursor=cursor, limit=LINES)
    return ModelsPage(models=found.items, next=found.next, name=name)


def model_page(reference: str, session: Database) -> ModelPage:
    """One model by digest, its first digits, or name."""
    model = ModelView.model_validate(find_model(session, reference), from_attributes=True)
    runs = list_runs(session, RunFilter(model=model.digest), cursor=None, limit=20).items
    return ModelPage(model=model, lines=add_counts(session, runs))


page(router, "/models", "bank/models.html", models_page)
page(router, "/models/{reference}", "bank/model.html", model_page)
