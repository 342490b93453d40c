"""The bookshop in the admin: filters, searches, date hierarchies, inlines, actions and totals."""

from django.contrib import admin
from django.db.models import Avg, Count, Sum
from django.utils.html import format_html

from shop import models

admin.site.site_header = "Bookshop on ZODB"
admin.site.site_title = "Bookshop"
admin.site.index_title = "Counter"


class BookInline(admin.TabularInline):
    model = models.Book
    fields = ["title", "isbn", "format", "price", "published", "available"]
    extra = 0
    show_change_link = True


class OrderLineInline(admin.TabularInline):
    model = models.OrderLine
    fields = ["book", "quantity", "price", "total"]
    readonly_fields = ["total"]
    autocomplete_fields = ["book"]
    extra = 1


class ReviewInline(admin.StackedInline):
    model = models.Review
    autocomplete_fields = ["customer"]
    extra = 0


@admin.register(models.Publisher)
class PublisherAdmin(admin.ModelAdmin):
    list_display = ["name", "city", "founded", "book_count"]
    list_filter = ["city"]
    search_fields = ["name", "city"]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(book_count=Count("books"))

    @admin.display(ordering="book_count", description="books")
    def book_count(self, publisher):
        return publisher.book_count


@admin.register(models.Author)
class AuthorAdmin(admin.ModelAdmin):
    list_display = ["last_name", "first_name", "born", "book_count"]
    list_display_links = ["last_name", "first_name"]
    search_fields = ["first_name", "last_name", "books__title"]
    date_hierarchy = "born"

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(book_count=Count("books", distinct=True))

    @admin.display(ordering="book_count", description="books")
    def book_count(self, author):
        return author.book_count


@admin.register(models.Genre)
class GenreAdmin(admin.ModelAdmin):
    list_display = ["name", "parent"]
    list_select_related = ["parent"]
    search_fields = ["name"]


@admin.register(models.Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ["title", "publisher", "format", "price", "published", "available", "rating"]
    list_editable = ["available"]
    list_filter = ["format", "available", "genres", ("publisher", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["publisher"]
    search_fields = ["title", "isbn", "authors__last_name", "publisher__name"]
    date_hierarchy = "published"
    autocomplete_fields = ["publisher", "authors"]
    filter_horizontal = ["genres"]
    inlines = [ReviewInline]
    actions = ["withdraw"]
    fieldsets = [
        (None, {"fields": ["title", "isbn", "publisher", "authors", "genres"]}),
        ("Offer", {"fields": [("format", "pages"), ("price", "available"), "published"]}),
        ("Details", {"fields": ["details"], "classes": ["collapse"]}),
    ]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(rating=Avg("reviews__stars"))

    @admin.display(ordering="rating", empty_value="-")
    def rating(self, book):
        return None if book.rating is None else format_html("{} / 5", round(book.rating, 1))

    @admin.action(description="Withdraw selected books from sale")
    def withdraw(self, request, queryset):
        count = queryset.order_by().update(available=False)
        self.message_user(request, f"{count} books withdrawn.")


@admin.register(models.Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "city", "joined", "newsletter"]
    list_filter = ["newsletter", "joined", "city"]
    search_fields = ["name", "email"]
    date_hierarchy = "joined"


@admin.register(models.Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["id", "customer", "placed", "status", "discount", "total"]
    list_filter = ["status", "placed"]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "customer__email", "lines__book__title"]
    date_hierarchy = "placed"
    readonly_fields = ["reference"]
    autocomplete_fields = ["customer"]
    inlines = [OrderLineInline]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(total=Sum("lines__total"))

    @admin.display(ordering="total", empty_value="-")
    def total(self, order):
        return order.total


@admin.register(models.Review)
class ReviewAdmin(admin.ModelAdmin):
    list_display = ["book", "stars", "customer", "written"]
    list_filter = ["stars", "written"]
    list_select_related = ["book", "customer"]
    search_fields = ["book__title", "text"]
    date_hierarchy = "written"
    autocomplete_fields = ["book", "customer"]
