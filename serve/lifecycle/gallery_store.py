"""Opens the gallery that the settings name: in a folder of one process, or in PostgreSQL for several processes at once.

Checks that the settings of the two ways are not mixed. Knows no model and no request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from index.config import GalleryConfig
from index.store.active_space import DATABASE
from serve.errors import ConfigurationError
from serve.settings import Settings

if TYPE_CHECKING:
    from index.gallery import Gallery

SCHEMES = ("postgresql://", "postgresql+psycopg://")


def open_store(settings: Settings, dim: int, space_id: str) -> Gallery:
    """The gallery for vectors of `dim` numbers from encoder `space_id`. Raises ConfigurationError, GalleryError."""
    if settings.database_url is not None:
        return _open_shared(settings, settings.database_url.get_secret_value(), dim, space_id)
    assert settings.gallery is not None, "asked only where there is a gallery"
    from index.opening import open_gallery  # SQLAlchemy and FAISS: a third of all that starting imports

    return open_gallery(settings.gallery, dim, space_id, _config(settings))


def _open_shared(settings: Settings, given: str, dim: int, space_id: str) -> Gallery:
    url = given.replace(SCHEMES[0], SCHEMES[1], 1)
    try:
        from index.opening import open_milvus_gallery, open_shared_gallery

        if settings.milvus_uri is not None:
            token = settings.milvus_token.get_secret_value() if settings.milvus_token else ""
            return open_milvus_gallery(url, dim, space_id, settings.milvus_uri, token)
        assert settings.gallery is not None, "check_stores has seen to it"
        return open_shared_gallery(url, dim, space_id, settings.gallery, _config(settings))
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"a shared gallery needs {error.name}, which is not installed here: pip install '.[stores]', or build the "
            "image with --build-arg STORES=stores"
        ) from None


def _config(settings: Settings) -> GalleryConfig:
    memory_mb = settings.neighbours_memory_mb
    return GalleryConfig(
        neighbours=settings.neighbours,
        exact_items=settings.exact_items,
        memory_bytes=None if memory_mb is None else memory_mb << 20,
        recall_target=settings.recall_target,
    )


def check_stores(settings: Settings) -> None:
    """Refuse settings of a gallery that contradict each other. Raises ConfigurationError."""
    database, milvus, folder = settings.database_url, settings.milvus_uri, settings.gallery
    if database is None:
        if milvus is not None:
            raise ConfigurationError(
                "EAR_TEACHER_MILVUS_URI is set without EAR_TEACHER_DATABASE_URL: Milvus only finds neighbours, the "
                "ears themselves are kept in PostgreSQL; set both, or neither and --gallery FOLDER"
            )
        return
    url = database.get_secret_value()
    if not url.startswith(SCHEMES):
        scheme = url.split(":", 1)[0][:20]  # never more: the rest may hold a password
        raise ConfigurationError(
            f"EAR_TEACHER_DATABASE_URL begins with {scheme!r}: give postgresql://user:password@host/database"
        )
    if milvus is None and folder is None:
        raise ConfigurationError(
            "EAR_TEACHER_DATABASE_URL is set without EAR_TEACHER_MILVUS_URI: this process keeps the neighbours itself "
            "then and needs --gallery FOLDER, a folder of its own"
        )
    if folder is not None and (folder / DATABASE).exists():
        raise ConfigurationError(
            f"--gallery {folder} holds a gallery of one process and EAR_TEACHER_DATABASE_URL names a shared one: "
            "choose one of them, or give this process an empty folder"
        )
